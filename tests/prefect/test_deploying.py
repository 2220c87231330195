"""From `prefect deploy` to the run: images by what is in them, in a real registry, and code without a commit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import docker
import pytest

from images.family import ROOT
from tests.commands import replaced, shell
from tests.pages import run_by
from tests.prefect.conftest import PROJECTS
from tests.stack import Stack
from tests.stack.http import Handler, serve
from tests.stack.images import configured
from tests.stack.registry import Registry

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

IMAGES, CODE = "docs/how-to/build-images-on-deploy.md", "docs/how-to/push-code.md"
EXAMPLE = "registry.example.com/team/etl"
CONFIGURATION = """\
version: 0.1
log: {accesslog: {disabled: false}}
storage: {filesystem: {rootdirectory: registry}}
http:
  addr: 127.0.0.1:5000
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


def remove_images(name: str) -> None:
    """Remove all tags of a repository from the engine."""
    client = docker.from_env()
    for image in client.images.list(name):
        client.images.remove(image.id, force=True)
    client.close()


def requests(folder: Path) -> list[str]:
    """The methods of the requests to the image's repository so far."""
    return REQUEST.findall((folder / "registry.log").read_text())


def job_image(stack: Stack, name: str) -> str:
    """The image in the job variables of a deployment."""
    return str(stack.api.client.read_deployment_by_name(name).job_variables["image"])


def test_from_deploy_to_a_completed_run(stack: Stack, base: str, registry: Registry, folder: Path) -> None:
    """The pages' steps: an image from the registry, code from a store; an edit of code builds nothing and is run."""
    files: dict[str, bytes] = {}
    methods: list[str] = []
    handler = type("StoreHandler", (_Store,), {"files": files, "methods": methods})
    with serve(stack.containers.gateway, handler) as store:
        build, deploy = run_by("test_from_deploy_to_a_completed_run", IMAGES)
        (code,) = run_by("test_from_deploy_to_a_completed_run", CODE)
        words = {EXAMPLE: f"{registry.address}/team/etl", "prefect-uv:py313": f"{base}\n      network: host"}
        token = f"      token: {TOKEN}\n"
        code = code.replace("/code\n", f"/code\n{token}") + token
        code = code.replace("https://files.example.com", f"http://{store}")
        project = stack.git.root / "deployed"
        project.mkdir()
        for name in ("pyproject.toml", "flows.py"):
            (project / name).write_text((PROJECTS / "plain" / name).read_text())
        (project / "prefect.yaml").write_text(replaced(build, words) + code)
        shell("uv lock", project)
        environment = {**stack.server.environment, "PYTHONPATH": PACKAGE}

        printed = shell(deploy, project, environment)
        assert printed.count(": building ") == 1, printed
        image = job_image(stack, "hello/nightly")
        assert re.fullmatch(rf"{re.escape(registry.address)}/team/etl@sha256:[0-9a-f]{{64}}", image)
        key = re.search(rf"building {re.escape(registry.address)}/team/etl:([0-9a-f]{{12}})-", printed)
        assert key
        remove_images(f"{registry.address}/team/etl")
        deployment = stack.api.client.read_deployment_by_name("hello/nightly").id
        run = stack.run_and_wait(deployment)
        run.require_completed()
        assert "hello world x1" in run.messages
        assert f"(hit {key[1]})" in run.messages, run.report()
        assert run.container.attrs["Config"]["Image"] == image
        assert re.search(r"from code [0-9a-f]{12} \(fetched\)", run.messages), run.report()

        flows = project / "flows.py"
        flows.write_text(flows.read_text().replace("hello {name}", "goodbye {name}"))
        before = len(requests(folder))
        printed = shell(deploy, project, {**environment, "DOCKER_HOST": "unix:///nonexistent"})
        assert "nothing to build: the registry has " in printed
        assert requests(folder)[before:] == ["HEAD"], "one request, and no engine"
        assert job_image(stack, "hello/nightly") == image
        run = stack.run_and_wait(deployment)
        run.require_completed()
        assert "goodbye world x1" in run.messages, run.report()
        sent = len(methods)
        run = stack.run_and_wait(deployment)
        assert re.search(r"from code [0-9a-f]{12} \(restored\)", run.messages), run.report()
        assert len(methods) == sent, "the volume has the code"
