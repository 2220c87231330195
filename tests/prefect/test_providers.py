"""Every provider's form of credentials: the clone succeeds, and no secret appears."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import certifi
import pytest

from tests.prefect.conftest import PROJECTS
from tests.prefect.hunt import Planted, hunt, in_files, in_volume
from tests.pull.conftest import fill
from tests.pull.servers import HttpsGit, https_git
from tests.stack import EXCHANGE, WRITABLE, Repository, Stack

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]

CLONE = "prefect.deployments.steps.git_clone"
SLOW = 0.3
CERTIFICATES = "/run/ca.pem"
FLOW = '''
import time
from contextlib import suppress
from pathlib import Path

from prefect import flow


@flow
def hunted(folder):
    """Record the environment of every process, and wait for the file `go`."""
    with Path(folder, "environ").open("wb") as file:
        for path in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                file.write(path.read_bytes() + b"\\0\\n")
    Path(folder, "ready").touch()
    while not Path(folder, "go").exists():
        time.sleep(0.05)
'''


class Case(NamedTuple):
    """A host, the inputs of the step (`@` stands for the secret), and the only login that the host accepts."""

    host: str
    inputs: dict[str, Any]
    pair: str
    userinfo: str = ""


CASES = [
    Case("github.com", {"access_token": "@"}, "@:"),
    Case("github.com", {"credentials": {"token": "@"}}, "@:"),
    Case("github.corp.test", {"credentials": "github-credentials"}, "@:"),
    Case("gitlab.com", {"access_token": "@"}, "oauth2:@"),
    Case("gitlab.com", {"credentials": {"token": "deploy:@"}}, "deploy:@"),
    Case("gitlab.corp.test", {"credentials": "gitlab-credentials"}, "oauth2:@"),
    Case("git.corp.test", {"credentials": {"token": "@"}}, "oauth2:@"),
    Case("git.corp.test", {}, "ada:@", userinfo="ada:@"),
    Case("bitbucket.org", {"access_token": "@"}, "x-token-auth:@"),
    Case("bitbucket.org", {"credentials": "bitbucket-credentials"}, "ada:@"),
    Case("bitbucketserver.corp.test", {"credentials": {"username": "ada", "token": "@"}}, "ada:@"),
    Case("bitbucketserver.corp.test", {"credentials": {"token": "ada:@"}}, "ada:@"),
    Case("dev.azure.com", {"access_token": "@"}, "@:", userinfo="org@"),
]
HOSTS = sorted({case.host for case in CASES})
TOKENS = [f"t0ken-{number:02}-6b1f8e2d9c" for number in range(len(CASES))]
BLOCK_DATA = {
    "secret": lambda token: {"value": token},
    "github-credentials": lambda token: {"token": token},
    "gitlab-credentials": lambda token: {"token": token},
    "bitbucket-credentials": lambda token: {"username": "ada", "password": token},
}


def _kind(case: Case) -> str:
    credentials = case.inputs.get("credentials")
    return credentials if isinstance(credentials, str) else "secret"


def _filled(value: Any, secret: str) -> Any:
    """The inputs with each `@` replaced by the placeholder of a block."""
    if isinstance(value, dict):
        return {key: _filled(item, secret) for key, item in value.items()}
    return secret if value in BLOCK_DATA else str(value).replace("@", secret)


def _step(number: int, case: Case, server: HttpsGit) -> dict[str, Any]:
    secret = f"{{{{ prefect.blocks.{_kind(case)}.hunted-{number} }}}}"
    userinfo = f"{case.userinfo.removesuffix('@')}{secret if ':' in case.userinfo else ''}@" if case.userinfo else ""
    address = {"repository": server.url(case.host, "hunted.git", userinfo), "clone_directory_name": f"clone-{number}"}
    return {CLONE: {**address, **_filled(case.inputs, secret)}}


@pytest.fixture
def hunted(stack: Stack) -> Repository:
    """A project with a flow that records what it sees."""
    repository = stack.git.create("hunted", PROJECTS / "plain")
    (repository.work / "hunting.py").write_text(FLOW)
    repository.commit("Add a flow that looks around")
    return repository


@pytest.fixture
def providers(stack: Stack, hunted: Repository, tmp_path: Path) -> Iterator[HttpsGit]:
    """A slow server with the names of all providers, which accepts only the right logins."""
    assert hunted
    blocks = {
        (_kind(case), f"hunted-{number}"): BLOCK_DATA[_kind(case)](token)
        for number, (case, token) in enumerate(zip(CASES, TOKENS, strict=True))
    }
    fill(stack.server, blocks, {})
    with https_git(stack.git.root, tmp_path, stack.containers.gateway, HOSTS) as running:
        running.accepted = {case.pair.replace("@", token) for case, token in zip(CASES, TOKENS, strict=True)}
        running.delay = SLOW
        yield running


def _container_options(stack: Stack, server: HttpsGit, folder: Path) -> dict[str, Any]:
    """Resolve the hosts to our server, and trust its certificate in addition to this machine's."""
    bundle = folder / "bundle.pem"
    bundle.write_text(Path(os.environ.get("SSL_CERT_FILE") or certifi.where()).read_text() + server.ca.read_text())
    return {"extra_hosts": dict.fromkeys(HOSTS, stack.containers.gateway), "volumes": [f"{bundle}:{CERTIFICATES}:ro"]}


def test_every_provider(stack: Stack, providers: HttpsGit, exchange: Path, tmp_path: Path) -> None:
    """One run clones from all of them; command lines, files, log, state and environment variables show no secret."""
    steps = [_step(number, case, providers) for number, case in enumerate(CASES)]
    flow_run = stack.api.create_run(stack.api.deploy("providers", "hunting.py:hunted", steps), {"folder": EXCHANGE})
    stack.api.submit(flow_run)
    direct = ",".join([*HOSTS, stack.containers.gateway, os.environ.get("NO_PROXY", "")])
    environment = {"SSL_CERT_FILE": CERTIFICATES, "UV_SYSTEM_CERTS": "1", "NO_PROXY": direct, "no_proxy": direct}
    options = _container_options(stack, providers, tmp_path)
    container = stack.start_directly(flow_run, environment, exchange=exchange, **WRITABLE, **options)
    planted = Planted(tuple(providers.accepted))
    found = hunt(stack, flow_run, container, exchange, planted)
    assert set(providers.offered) == providers.accepted, found.run.report()
    assert len(providers.offered) == len(providers.requests), "a request came without its login"
    assert [host for host in HOSTS if f"//{host}:" not in found.command_lines] == [], found.command_lines
    environs = (exchange / "environ").read_bytes()
    assert planted.found_in(environs) == []
    assert b"PREFECT_UV_GIT_" not in environs
    assert str(flow_run).encode() in environs, "the search does not work"
    configured = [name for name in in_files(container, Planted((":hunted.git",))) if name.endswith(".git/config")]
    assert len(configured) == len(CASES), "the search does not work"
    assert in_volume(stack.cache, Planted((":hunted.git",))), "the search does not work"
