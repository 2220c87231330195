"""Registries are asked without an engine, with the login of the user's Docker configuration."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from prefect_uv_deploy.errors import RegistryError
from prefect_uv_deploy.image_build import ImageBuild
from prefect_uv_deploy.image_builder import with_base_digest
from prefect_uv_deploy.registry import MANIFESTS, Repository
from tests.unit.http_server import Answer, Request, Server

DIGEST = "sha256:" + 64 * "a"
MANIFEST = "/v2/team/etl/manifests/inputs-1"
FOUND = Answer(headers={"Docker-Content-Digest": DIGEST, "Content-Type": MANIFESTS[1]}, body=b"{}")


@pytest.fixture
def repository(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository of the test's server, and a login for it in a Docker configuration."""
    host = urlsplit(server.url).netloc
    login = base64.b64encode(b"ci:p4ssw0rd").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {host: {"auth": login}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return Repository.of(f"{host}/team/etl")


def test_names() -> None:
    """Names mean what they mean to Docker; only this machine is asked without TLS."""
    urls = {
        "etl": "https://registry-1.docker.io/v2/library/etl",
        "team/etl": "https://registry-1.docker.io/v2/team/etl",
        "r.example.com:5000/etl": "https://r.example.com:5000/v2/etl",
        "localhost:5000/a/b": "http://localhost:5000/v2/a/b",
        "127.0.0.1:5000/etl": "http://127.0.0.1:5000/v2/etl",
    }
    assert {name: Repository.of(name).url for name in urls} == urls


def test_one_request(repository: Repository, server: Server) -> None:
    """A known image costs one request, which has no login."""
    server.on(f"GET {MANIFEST}", FOUND)
    assert repository.digest("inputs-1") == DIGEST
    (request,) = server.requests
    assert "authorization" not in request.headers
    assert repository.digest("inputs-2") is None


def test_token(repository: Repository, server: Server) -> None:
    """A registry with tokens: the login goes to the realm that it names, the token to the registry."""

    def answer(request: Request) -> Answer:
        if request.headers.get("authorization") == "Bearer t0ken":
            return FOUND
        realm = server.url.removesuffix("/api")
        return Answer(401, headers={"WWW-Authenticate": f'Bearer realm="{realm}/token",service="r"'})

    server.on(f"GET {MANIFEST}", answer)
    server.on("GET /token", Answer(body={"token": "t0ken"}))
    assert repository.digest("inputs-1") == DIGEST
    (asked,) = server.to("GET", "/token")
    assert base64.b64decode(asked.headers["authorization"].partition(" ")[2]) == b"ci:p4ssw0rd"
    assert parse_qs(urlsplit(asked.path).query) == {"service": ["r"], "scope": ["repository:team/etl:pull"]}


def test_password(repository: Repository, server: Server) -> None:
    """A registry with passwords gets the login; another tag is put with the manifest as it is."""

    def answer(request: Request) -> Answer:
        scheme, _, login = request.headers.get("authorization", "").partition(" ")
        if scheme == "Basic" and base64.b64decode(login) == b"ci:p4ssw0rd":
            return FOUND
        return Answer(401, headers={"WWW-Authenticate": 'Basic realm="r"'})

    server.on(f"GET /v2/team/etl/manifests/{DIGEST}", answer)
    server.on(f"PUT {MANIFEST}", answer)
    repository.add_tag(DIGEST, "inputs-1")
    *_, put = server.to("PUT", MANIFEST)
    assert (put.headers["content-type"], put.body) == (MANIFESTS[1], b"{}")


def test_refused(repository: Repository, server: Server) -> None:
    """The error says how to log in, and has no password."""
    server.on(f"GET {MANIFEST}", Answer(401, headers={"WWW-Authenticate": 'Basic realm="r"'}))
    with pytest.raises(RegistryError, match=r"answers 401 for team/etl. Log in with `docker login") as caught:
        repository.digest("inputs-1")
    assert "p4ssw0rd" not in str(caught.value)


def test_base_by_digest(repository: Repository, server: Server, tmp_path: Path) -> None:
    """With `pull`, the build is FROM the image that the base's tag is now; a digest needs no question."""
    build = ImageBuild(base=f"{repository.host}/team/etl:inputs-1", directory=tmp_path)
    server.on(f"GET {MANIFEST}", FOUND)
    by_digest = with_base_digest(build)
    assert by_digest.base == f"{repository.host}/team/etl@{DIGEST}"
    assert with_base_digest(by_digest) == by_digest
    assert len(server.requests) == 1
    with pytest.raises(RegistryError, match="has no base image"):
        with_base_digest(ImageBuild(base=f"{repository.host}/team/other", directory=tmp_path))


@pytest.mark.filterwarnings("ignore:docker-credential-of-nobody")
def test_credential_helper_that_is_missing(repository: Repository, server: Server, tmp_path: Path) -> None:
    """The error names the registry whose login is needed."""
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "of-nobody"}))
    server.on(f"GET {MANIFEST}", Answer(401, headers={"WWW-Authenticate": 'Basic realm="r"'}))
    with pytest.raises(RegistryError, match="cannot be read"):
        repository.digest("inputs-1")


def test_unreachable() -> None:
    """The error names the registry."""
    with pytest.raises(RegistryError, match=r"127\.0\.0\.1:9 cannot be reached"):
        Repository.of("127.0.0.1:9/etl").digest("inputs-1")
