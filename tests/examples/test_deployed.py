"""From `prefect deploy` to the run: images by what is in them, in a real registry, and code without a commit."""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import uuid4

import docker
import pytest

from images.family import ROOT
from prefect_uv_deploy.buildkit import BuildKitClient
from prefect_uv_deploy.steps import build_image
from tests.commands import replaced, shell
from tests.examples.examples import Example, environment_key, lookup_result
from tests.pages import run_by
from tests.pins import PREFECT
from tests.stack import PackageIndex, Stack
from tests.stack.http import Handler, serve
from tests.stack.images import configured
from tests.stack.index import MODULE
from tests.stack.registry import Registry

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

DEPLOYED = Example("deployed", ("greet/deployed",))
IMAGES = "docs/how-to/build-images-on-deploy.md"
EXAMPLE = "registry.example.com/team/etl"
CONFIGURATION = """\
version: 0.1
log: {accesslog: {disabled: false}}
storage: {filesystem: {rootdirectory: registry}}
http:
  addr: 127.0.0.1:5000
"""
FLOW = """\
from prefect import flow


@flow
def hello():
    pass
"""
SMALL = """\
[project]
name = "small"
version = "1.0.0"
requires-python = ">=3.11"
dependencies = ["prefect"]

[dependency-groups]
etl = ["trinket"]
ml = ["gadget"]

"""
REQUEST = re.compile(r'"(HEAD|GET|PUT|POST|PATCH) /v2/team/etl/\S*')
TOKEN = "store-token"  # noqa: S105 (of the test's own store)
PACKAGE = str(ROOT / "deploy" / "steps" / "src")


@pytest.fixture(scope="module")
def base(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Our image, configured with this machine's index and certificates."""
    with configured(stack.image, tmp_path_factory.mktemp("base")) as image:
        yield image


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the registry runs in."""
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="module")
def registry(folder: Path) -> Iterator[Registry]:
    """A registry on loopback, which logs each request; what tests built for it is removed from the engine."""
    with Registry.start(folder, CONFIGURATION) as running:
        yield running
        remove_images(f"{running.address}/team/etl")


class _Store(Handler):
    """A store of files that takes PUT, with a token."""

    files: dict[str, bytes]
    methods: list[str]

    def do_GET(self) -> None:
        """Send a file."""
        self.methods.append(self.command)
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.answer(b"", "text/plain", HTTPStatus.UNAUTHORIZED)
        elif self.path in self.files:
            self.answer(self.files[self.path], "application/octet-stream")
        else:
            self.answer(b"", "text/plain", HTTPStatus.NOT_FOUND)

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        """Keep a file."""
        self.methods.append(self.command)
        self.files[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(b"", "text/plain", HTTPStatus.CREATED)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every command import the package for the deploying side."""
    monkeypatch.setenv("PYTHONPATH", PACKAGE)


def tags(name: str) -> list[str]:
    """The tags of a repository that the engine has."""
    client = docker.from_env()
    found = [tag.rpartition(":")[2] for image in client.images.list(name) for tag in image.tags]
    client.close()
    return found


def remove_images(name: str) -> None:
    """Remove all tags of a repository from the engine."""
    client = docker.from_env()
    for image in client.images.list(name):
        client.images.remove(str(image.id), force=True)
    client.close()


def requests(folder: Path) -> list[str]:
    """The methods of the requests to the image's repository so far."""
    return REQUEST.findall((folder / "registry.log").read_text())


def job_image(stack: Stack, name: str) -> str:
    """The image in the job variables of a deployment."""
    return str(stack.api.client.read_deployment_by_name(name).job_variables["image"])


def test_from_deploy_to_a_completed_run(stack: Stack, base: str, registry: Registry, folder: Path) -> None:
    """By the README: an image from the registry, code from a store; an edit of code builds nothing and is run."""
    name = f"{registry.address}/team/etl"
    methods: list[str] = []
    handler = type("StoreHandler", (_Store,), {"files": {}, "methods": methods})
    with serve(stack.containers.gateway, handler) as store:
        token = f"      token: {TOKEN}\n"
        words = {
            "registry.example.com/me/deployed": name,
            "prefect-uv:py313": f"{base}\n      network: host",
            "https://files.example.com/code\n": f"http://{store}/code\n{token}",
            '"{{ push-code.sha256 }}"\n': f'"{{{{ push-code.sha256 }}}}"\n{token}',
        }
        repository, (deployment,) = DEPLOYED.deploy(stack, "test_from_deploy_to_a_completed_run", words)
        image = job_image(stack, "greet/deployed")
        assert re.fullmatch(rf"{re.escape(name)}@sha256:[0-9a-f]{{64}}", image)
        (key_tag,) = [tag for tag in tags(name) if "inputs" not in tag]
        remove_images(name)
        run = stack.run_and_wait(deployment)
        run.require_completed()
        assert [line.pattern for line in DEPLOYED.promised if not line.search(run.messages)] == [], run.report()
        assert (lookup_result(run), environment_key(run)) == ("hit", key_tag.partition("-")[0])
        assert run.container.attrs["Config"]["Image"] == image
        assert re.search(r"from code [0-9a-f]{12} \(fetched\)", run.messages), run.report()

        flows = repository.work / "flows.py"
        flows.write_text(flows.read_text().replace("Hello", "Goodbye"))
        before = len(requests(folder))
        without_engine = {**stack.server.environment, "DOCKER_HOST": "unix:///nonexistent"}
        printed = shell("prefect --no-prompt deploy --all", repository.work, without_engine)
        assert "nothing to build: the registry has " in printed
        assert requests(folder)[before:] == ["HEAD"], "one request, and no engine"
        assert job_image(stack, "greet/deployed") == image
        run = stack.run_and_wait(deployment)
        run.require_completed()
        assert "Goodbye, world!" in run.messages, run.report()
        assert methods == ["HEAD", "PUT", "GET"] * 2, "each tree is stored and fetched once"


@pytest.fixture
def small(stack: Stack, tmp_path: Path) -> Iterator[Path]:
    """A project with a small Prefect, and a group for each of two packages."""
    with PackageIndex.with_prefect(stack.containers.gateway) as index:
        for name in ("trinket", "gadget", "widget"):
            index.publish(name, "1.0", f"SAYS = '{name} {uuid4()}'\n")
        project = tmp_path / "small"
        project.mkdir()
        (project / "pyproject.toml").write_text(f"{SMALL}{index.settings}")
        (project / "flows.py").write_text(FLOW)
        shell("uv lock", project)
        yield project


def layers_of(reference: str) -> list[str]:
    """The layers of an image by digest, as its registry lists them."""
    repository, _, digest = reference.partition("@")
    address, _, path = repository.partition("/")
    accepted = {"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
    request = urllib.request.Request(f"http://{address}/v2/{path}/manifests/{digest}", headers=accepted)
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 (http)
        return [layer["digest"] for layer in json.load(response)["layers"]]


def test_groups_and_packages(stack: Stack, base: str, registry: Registry, small: Path) -> None:
    """Two selections are two images that share layers; `uv add` for one of them builds one image."""
    deploy, yaml = run_by("test_groups_and_packages", IMAGES)
    words = {EXAMPLE: f"{registry.address}/team/etl", "prefect-uv:py313": f"{base}\n          network: host"}
    (small / "prefect.yaml").write_text(replaced(yaml, words) + "\npull: []\n")

    def deployed() -> tuple[str, list[str]]:
        printed = shell(deploy, small, stack.server.environment)
        return printed, [job_image(stack, f"hello/{name}") for name in ("etl", "ml")]

    printed, (etl, ml) = deployed()
    assert printed.count(": building ") == 2, printed
    assert etl != ml
    shared = [one == other for one, other in zip(layers_of(etl), layers_of(ml), strict=True)]
    assert shared == [True] * (len(shared) - 1) + [False], "all but the environments"

    shell("uv add --group etl widget", small)
    printed, (new_etl, new_ml) = deployed()
    assert printed.count(": building ") == 1, printed
    assert printed.count("nothing to build: the registry has ") == 1, printed
    assert (new_etl != etl, new_ml) == (True, ml)


def test_flow_deploy(stack: Stack, base: str, registry: Registry, small: Path) -> None:
    """The page's script deploys from Python with an image of the registry, by digest."""
    repository = stack.git.create("from-python", ROOT / "tests" / "projects" / "plain", lock=False)
    (script,) = run_by("test_flow_deploy", IMAGES)
    image = f'"{registry.address}/team/etl", network="host"'
    words = {
        f'"{EXAMPLE}"': image,
        "prefect-uv:py313": base,
        "https://git.example.com/team/etl.git": repository.url,
        "nightly": "from-python",
    }
    (small / "deploy.py").write_text(replaced(script, words))
    shell(f"{sys.executable} deploy.py", small, stack.server.environment)
    assert job_image(stack, "hello/from-python").startswith(f"{registry.address}/team/etl@sha256:")


def test_local_engine(base: str, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a registry, the engine has the image; neither code nor a comment builds another; it can have the code."""
    monkeypatch.chdir(small)
    name = f"prefect-uv-test-{uuid4().hex}/etl"
    options: dict[str, Any] = {"image_name": name, "base": base, "network": "host"}
    try:
        first = build_image(**options)
        assert (first["built"], first["image"], first["digest"]) == (True, f"{name}:{first['tag']}", "")
        (small / "flows.py").write_text(f"{FLOW}\n# edited\n")
        assert build_image(**options) == {**first, "built": False}
        (small / "pyproject.toml").write_text("# a comment\n" + (small / "pyproject.toml").read_text())
        commented = build_image(**options)
        assert (commented["built"], image_id(commented["image"])) == (False, image_id(first["image"]))
        monkeypatch.setattr(BuildKitClient, "find", lambda _: None)
        complete = build_image(**options, version="1.4.0")
        command = "prefect-uv exec -- python -c 'import flows; print(flows.__file__)'"
        printed = shell(f"docker run --rm --network none {complete['image']} {command}", small)
        assert "image version 1.4.0" in printed
        assert "environment " not in printed, "nothing is built"
        assert printed.splitlines()[-1] == f"{complete['directory']}/flows.py"
    finally:
        remove_images(name)


def test_secret_of_a_build(stack: Stack, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A login of an index comes from the variables of the one who deploys, and is in no layer."""
    name = f"prefect-uv-test-{uuid4().hex}/etl"
    with PackageIndex.start(stack.containers.gateway, TOKEN) as index:
        index.publish("prefect", PREFECT, MODULE)
        settings = index.settings.replace("explicit = true", 'explicit = true\nauthenticate = "always"')
        (tmp_path / "pyproject.toml").write_text(SMALL.partition("[dependency-groups]")[0] + settings)
        login = {"UV_INDEX_TESTS_USERNAME": "ci", "UV_INDEX_TESTS_PASSWORD": TOKEN}
        shell("uv lock", tmp_path, login)
        for variable, value in login.items():
            monkeypatch.setenv(variable, value)
        try:
            built = build_image(image_name=name, base=base, directory=str(tmp_path), network="host", secrets=[*login])
            searched = f"test -f pyproject.toml && ! grep -rqs {TOKEN} /opt /home /etc /tmp /var /run"
            shell(f"docker run --rm {built['image']} bash -c '{searched}'", tmp_path)
            assert TOKEN not in shell(f"docker history --no-trunc {built['image']}", tmp_path)
        finally:
            remove_images(name)


def image_id(name: str) -> str:
    """The id of an image of the engine."""
    client = docker.from_env()
    try:
        return str(client.images.get(name).id)
    finally:
        client.close()
