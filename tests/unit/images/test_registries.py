"""Environments in real registries: without a login, with a password, with tokens; and in registries in trouble."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from images.family import ROOT
from prefect_uv.errors import (
    ImageInvalidError,
    ImageNotFoundError,
    PrefectUvError,
    RegistryRefusedError,
    RegistryUnauthorizedError,
    RegistryUnreachableError,
)
from prefect_uv.image_facts import Image
from prefect_uv.log.run_log import RunLog
from prefect_uv.registry import registry_connection
from prefect_uv.registry.image_documents import OCI_LAYER, Blob, read_manifest
from prefect_uv.registry.image_reference import ImageReference
from prefect_uv.registry.image_repository import ImageRepository
from prefect_uv.registry.registry_login import RegistryLogin, find_login
from tests.commands import shell
from tests.pages import run_by
from tests.stack.registry import Registry, ensure_program
from tests.unit.conftest import MakeSettings
from tests.unit.environments.test_full_disk import PROGRAM
from tests.unit.etl import environments, leftovers
from tests.unit.http_server import Answer, Request, Server
from tests.unit.images.conftest import ImageCommands
from tests.unit.images.registry_token import AUTHENTICATION, CONFIGURATION, TokenServer
from tests.unit.program.test_processes import wait_until

USER, PASSWORD = "flows", "hunter2/of-the-registry+2"
CONTENT = bytes(range(256)) * 40
BLOB = Blob.of(CONTENT, OCI_LAYER)
PATH = f"/v2/etl/blobs/{BLOB.digest}"
DIGEST = f"sha256:{'0' * 64}"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that asks for no login."""
    with Registry.start(tmp_path_factory.mktemp("open"), CONFIGURATION) as running:
        yield running


def write_login(folder: Path, registry: str, **login: str) -> dict[str, str]:
    """Write a login like `docker login` does; returns the variable that names it."""
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {registry: login or {"auth": auth}}}))
    return {"DOCKER_CONFIG": str(folder)}


def pushed_layers(commands: ImageCommands, *words: str, **variables: str) -> tuple[str, int]:
    """The image that an export prints, and how many layers it has pushed."""
    image = commands.export("--verbose", *words, **variables)
    return image, commands.printed().count("pushed layer ")


def test_export_and_import(commands: ImageCommands, registry: Registry, tmp_path: Path) -> None:
    """By tag and by digest; a second export pushes nothing, and a repository that lacks the image says so."""
    name = f"{registry.address}/team/etl"
    image, count = pushed_layers(commands, f"{name}:main")
    assert image.startswith(f"{name}@sha256:")
    assert count == 3
    assert pushed_layers(commands, f"{name}:again") == (image, 0)
    key = environments(commands.cache)[0].name
    for number, reference in enumerate((image, f"{name}:again")):
        assert commands.take(reference, PREFECT_UV_CACHE_DIR=str(tmp_path / str(number))) == key
    assert f"comes from {image}: " in commands.printed()
    for missing in (f"{name}:nothing", f"{name}@{DIGEST}"):
        with pytest.raises(ImageNotFoundError) as raised:
            commands.take(missing)
        assert raised.value.headline == f"There is no image {missing}."
    assert leftovers(commands.cache) == []


def test_registry_with_a_password(commands: ImageCommands, tmp_path: Path) -> None:
    """The one of the page, with the login that `docker login` writes; the password is in nothing that is printed."""
    configuration, password, *_ = run_by("test_registry_of_the_page", "docs/how-to/registry.md")
    ensure_program("htpasswd", "apache2-utils")
    shell(password, tmp_path, {"REGISTRY_PASSWORD": PASSWORD})
    with Registry.start(tmp_path, configuration) as registry:
        name = f"{registry.address}/etl"
        with pytest.raises(RegistryUnauthorizedError) as raised:
            commands.export(name, DOCKER_CONFIG=str(tmp_path / "nothing"))
        assert raised.value.headline == f"The registry {registry.address} wants a login."
        wrong = write_login(tmp_path, registry.address, auth=base64.b64encode(f"{USER}:wrong".encode()).decode())
        with pytest.raises(RegistryUnauthorizedError, match="answered 401: could not look for sha256:"):
            commands.export(name, **wrong)
        login = write_login(tmp_path, registry.address)
        image = commands.export("--verbose", name, **login)
        assert PASSWORD not in commands.printed()
        commands.take("--verbose", image, PREFECT_UV_CACHE_DIR=str(tmp_path / "empty"), **login)
        assert PASSWORD not in commands.printed()


def test_registry_with_tokens(commands: ImageCommands, server: Server, certificates: Path, tmp_path: Path) -> None:
    """A login, or an identity token, is exchanged for a token of the registry, for pushing or for pulling alone."""
    tokens = TokenServer(certificates, USER, PASSWORD)
    server.on("GET /token", tokens.answer)
    server.on("POST /token", tokens.answer)
    realm = f"{server.url.removesuffix('/api')}/token"
    configuration = CONFIGURATION + AUTHENTICATION.format(realm=realm, certificate=certificates / "ca.pem")
    with Registry.start(tmp_path, configuration) as registry:
        name = f"{registry.address}/etl"
        with pytest.raises(RegistryUnauthorizedError, match="answered 401: could not log in at 127"):
            commands.export(name)
        login = write_login(tmp_path, registry.address)
        image = commands.export("--verbose", name, **login)
        assert "scope=repository%3Aetl%3Apull%2Cpush" in server.requests[-1].path
        assert not any(secret in commands.printed() for secret in (PASSWORD, *tokens.tokens))
        commands.take(image, PREFECT_UV_CACHE_DIR=str(tmp_path / "one"), **login)
        assert server.requests[-1].path.endswith("scope=repository%3Aetl%3Apull")
        identity = write_login(tmp_path, registry.address, identitytoken=PASSWORD)
        commands.take(image, PREFECT_UV_CACHE_DIR=str(tmp_path / "two"), **identity)
        assert server.requests[-1].method == "POST"
        assert len(tokens.tokens) == 3


@pytest.fixture
def repository(server: Server, make_settings: MakeSettings, log: RunLog, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A repository on a server that gives scripted answers; retries come at once."""
    monkeypatch.setattr(registry_connection, "PAUSES", (0.0, 0.0))
    return ImageRepository(reference_on(server), make_settings(), log.mask)


def reference_on(server: Server, repository: str = "etl") -> ImageReference:
    """An image in a repository on a server."""
    return ImageReference.of(f"{server.url.removeprefix('http://').removesuffix('/api')}/{repository}")


def cut_off(body: bytes, length: int) -> Answer:
    """An answer whose connection breaks in the middle."""
    return Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:length])


def ranged(request: Request) -> Answer:
    """The rest of the content, as registries send it."""
    start = int(request.headers["range"].removeprefix("bytes=").removesuffix("-"))
    return Answer(206, CONTENT[start:], {"Content-Range": f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"})


def test_download_goes_on_where_it_was_cut_off(repository: ImageRepository, server: Server, tmp_path: Path) -> None:
    """Only the rest is sent again."""
    server.on(f"GET {PATH}", cut_off(CONTENT, 4000), ranged)
    repository.fetch_blob(BLOB, tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == CONTENT
    assert [request.headers.get("range") for request in server.to("GET", PATH)] == [None, "bytes=4000-"]


def test_download_from_a_registry_without_ranges(repository: ImageRepository, server: Server, tmp_path: Path) -> None:
    """It begins again."""
    server.on(f"GET {PATH}", cut_off(CONTENT, 4000), Answer(503), Answer(body=CONTENT))
    repository.fetch_blob(BLOB, tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(trouble="drops"), RegistryUnreachableError),
        (Answer(503), RegistryUnreachableError),
        (cut_off(CONTENT, 0), RegistryUnreachableError),
        (Answer(body=CONTENT + b"more"), ImageInvalidError),
        (Answer(body=CONTENT[::-1]), ImageInvalidError),
        (Answer(404), ImageNotFoundError),
        (Answer(403, {"errors": [{"message": "denied"}]}), RegistryUnauthorizedError),
        (Answer(401, headers={"WWW-Authenticate": "Negotiate"}), RegistryRefusedError),
        (Answer(307, headers={"Location": "ftp://127.0.0.1/"}), RegistryRefusedError),
        (Answer(307, headers={"Location": PATH}), RegistryRefusedError),
        (Answer(418), RegistryRefusedError),
    ],
)
def test_registry_in_trouble(
    repository: ImageRepository, server: Server, tmp_path: Path, answer: Answer, error: type[PrefectUvError]
) -> None:
    """Each kind of trouble has its error, and no blob is taken for what it is not."""
    server.on(f"GET {PATH}", answer)
    with pytest.raises(error):
        repository.fetch_blob(BLOB, tmp_path / "blob")


def test_login_stays_with_the_registry(
    server: Server, make_settings: MakeSettings, log: RunLog, tmp_path: Path, tls_server: Server
) -> None:
    """The store to which it redirects for a blob gets no login."""
    reference = reference_on(server)
    login = write_login(tmp_path, reference.registry)
    challenge = {"WWW-Authenticate": 'Basic realm="tests"'}
    store = tls_server.url.replace("https", "http").removesuffix("/api")
    server.on(f"GET {PATH}", Answer(401, headers=challenge), Answer(307, headers={"Location": f"{store}/blob?sig=x"}))
    tls_server.on("GET /blob", Answer(body=CONTENT))
    ImageRepository(reference, make_settings(login), log.mask).fetch_blob(BLOB, tmp_path / "blob")
    assert [request.headers.get("authorization", "")[:6] for request in server.to("GET", PATH)] == ["", "Basic "]
    (request,) = tls_server.to("GET", "/blob")
    assert "authorization" not in request.headers


def test_login_is_not_sent_where_it_could_be_read(repository: ImageRepository, server: Server) -> None:
    """Neither without TLS to another machine, nor to a registry that wants it unencrypted."""
    challenge = {"WWW-Authenticate": 'Bearer realm="http://tokens.example.com/",service="tests"'}
    server.on(f"GET {PATH}", Answer(401, headers=challenge))
    with pytest.raises(RegistryRefusedError, match=r"sends the login to http://tokens\.example\.com/, which"):
        repository.has_blob(BLOB)


def test_certificate_that_is_not_trusted(
    tls_server: Server, make_settings: MakeSettings, log: RunLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the variable for the CA; PREFECT_API_TLS_INSECURE_SKIP_VERIFY is about the API alone."""
    insecure = make_settings(PREFECT_API_TLS_INSECURE_SKIP_VERIFY="true")
    reference = ImageReference("127.0.0.1", "etl", "", "")
    monkeypatch.setattr(ImageReference, "url", f"{tls_server.url.removesuffix('/api')}/v2/etl")
    with pytest.raises(RegistryUnreachableError) as raised:
        ImageRepository(reference, insecure, log.mask).has_blob(BLOB)
    assert raised.value.hint == "Mount the CA's certificate, and name it in SSL_CERT_FILE."


def test_signal_ends_the_wait_for_a_registry(server: Server, image: Image, tmp_path: Path) -> None:
    """`docker stop` is heard although the registry does not answer."""
    reference = reference_on(server)
    server.on("GET /v2/etl/manifests/latest", Answer(trouble="is silent"))
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "entrypoint" / "src"), "PREFECT_UV_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", PROGRAM, "import", str(reference), json.dumps(asdict(image))]
    process = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: bool(server.requests))
    begin = time.monotonic()
    process.terminate()
    _, log = process.communicate(timeout=20)
    assert process.returncode == 143, log
    assert "SIGTERM arrived" in log
    assert time.monotonic() - begin < 5


HELPER = """#!/bin/sh
read -r server
[ "$1 $server" = "get registry.example.com" ] || exit 1
echo '{"ServerURL": "", "Username": "%s", "Secret": "hunter2"}'
"""
LOGINS: Mapping[str, tuple[dict[str, Any], RegistryLogin]] = {
    "none": ({}, RegistryLogin()),
    "of another registry": ({"auths": {"example.com": {"auth": "YTpi"}}}, RegistryLogin()),
    "by its address": ({"auths": {"https://registry.example.com/v2/": {"auth": "YTpi"}}}, RegistryLogin("a", "b")),
    "identity token": (
        {"auths": {"registry.example.com": {"auth": "YTo=", "identitytoken": "b"}}},
        RegistryLogin("a", "", "b"),
    ),
    "in a store": ({"auths": {"registry.example.com": {}}, "credsStore": "user"}, RegistryLogin("flows", "hunter2")),
    "of a helper": ({"credHelpers": {"registry.example.com": "token"}}, RegistryLogin("", "", "hunter2")),
    "not in the helper": ({"credHelpers": {"example.com": "token"}}, RegistryLogin()),
}


@pytest.mark.parametrize("name", LOGINS)
def test_forms_of_a_login(name: str, tmp_path: Path, log: RunLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `docker login`, pull secrets of Kubernetes and credential helpers of clouds write it."""
    document, login = LOGINS[name]
    (tmp_path / "config.json").write_text(json.dumps(document))
    for helper, user in (("user", USER), ("token", "<token>")):
        program = tmp_path / f"docker-credential-{helper}"
        program.write_text(HELPER % user)
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    environ = {"DOCKER_CONFIG": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin"}
    assert find_login("registry.example.com", environ, log.mask) == login
    assert "hunter2" not in log.mask("hunter2") or login.password != "hunter2"  # noqa: S105


@pytest.mark.parametrize("text", ["", "{", "[]", '{"auths": []}', '{"auths": {"a": "b"}}', '{"credsStore": "missing"}'])
def test_login_that_cannot_be_read(text: str, tmp_path: Path, log: RunLog) -> None:
    """The error says what is wrong, without the content."""
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(RegistryUnauthorizedError):
        find_login("registry.example.com", {"DOCKER_CONFIG": str(tmp_path), "PATH": "/nonexistent"}, log.mask)


def test_digest_of_the_name_is_compared(repository: ImageRepository, server: Server) -> None:
    """A registry that sends another manifest than the digest says is not believed."""
    data = b"{}"
    server.on(f"GET /v2/etl/manifests/{DIGEST}", Answer(body=data))
    with pytest.raises(ImageInvalidError, match="is not what its digest says") as raised:
        read_manifest(lambda digest: repository.manifest(digest or DIGEST), DIGEST, "etl")
    assert raised.value.found == f"wanted: {DIGEST}\nfound:  sha256:{hashlib.sha256(data).hexdigest()}"
