"""Credentials that a flow run is given are in no log, state, process list or file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.prefect.conftest import PROJECTS
from tests.prefect.hunt import Planted, in_files, in_volume, process_lists
from tests.stack import EXCHANGE, GitServer, PackageIndex, Stack, git_clone

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]

API_KEY = "pnu_3f1c9a7e5b2d4c68"
GIT_TOKEN = "ghp-8d2b6e4f0a1c3597"  # noqa: S105 - planted to be looked for
INDEX_TOKEN = "pypi-71c5e9d3b8a2f604"  # noqa: S105 - planted to be looked for
SLOW = 0.5
"""Seconds that git server and index take to answer, so that their clients are seen in the process list."""


INDEX_CREDENTIALS: dict[str, Callable[[PackageIndex], dict[str, str]]] = {
    "in-variables": lambda _: {"UV_INDEX_LOCAL_USERNAME": "ci", "UV_INDEX_LOCAL_PASSWORD": INDEX_TOKEN},
    "in-the-url": lambda index: {"UV_INDEX": f"local={index.url.replace('://', f'://ci:{INDEX_TOKEN}@')}"},
}


@pytest.fixture
def private_git(stack: Stack, tmp_path: Path) -> Iterator[GitServer]:
    """A slow git server that wants a token."""
    with GitServer.start(stack.containers.gateway, tmp_path, GIT_TOKEN, SLOW) as running:
        yield running


@pytest.fixture
def private_index(stack: Stack) -> Iterator[PackageIndex]:
    """A slow index that wants a token."""
    with PackageIndex.start(stack.containers.gateway, INDEX_TOKEN, SLOW) as running:
        running.publish("trinket", "1.0", f"SAYS = 'clink {uuid4()}'\n")
        yield running


@pytest.mark.parametrize("form", INDEX_CREDENTIALS)
def test_no_secret_is_found(
    stack: Stack,
    private_git: GitServer,
    private_index: PackageIndex,
    form: str,
    exchange: Path,
) -> None:
    """Plant an auth string, an API key, a token in the git URL and one for the index; look everywhere."""
    credentials = INDEX_CREDENTIALS[form](private_index)
    addresses = {"http://index.invalid/simple": private_index.url}
    repository = private_git.create("private", PROJECTS / "private-index", replace=addresses, environment=credentials)
    url = repository.url.replace("://", f"://ada:{GIT_TOKEN}@")
    planted = Planted((stack.server.auth_string, API_KEY, f"ada:{GIT_TOKEN}", f"ci:{INDEX_TOKEN}"))
    deployment = stack.api.deploy("secrets", "flows.py:waiting", [git_clone(url)])
    flow_run = stack.api.create_run(deployment, {"folder": EXCHANGE})
    container = stack.start_directly(flow_run, {**credentials, "PREFECT_API_KEY": API_KEY}, exchange=exchange)
    with process_lists(container) as command_lines:
        stack.wait_for_file(exchange / "ready", container)
        assert in_files(container, planted) == {}
        (exchange / "go").touch()
        run = stack.finish(flow_run, container)
    assert run.state.name == "Completed", run.report()
    assert any(re.search(r"\bgit clone|git-remote-http", line) for line in command_lines), "\n".join(command_lines)
    assert any(re.search(r"\buv .*\bsync", line) for line in command_lines), "\n".join(command_lines)
    assert [line for line in command_lines if planted.found_in(line.encode())] == []
    assert planted.found_in(run.report().encode()) == []
    assert in_files(container, planted) == {}
    assert in_volume(stack.cache, planted) == []
    assert in_files(container, Planted(("import trinket",))), "the search finds what is there"
    assert in_volume(stack.cache, Planted(("clink",))), "the search finds what is there"


def test_no_secret_is_found_when_the_clone_fails(stack: Stack, private_git: GitServer) -> None:
    """The error of a refused clone quotes git, and not the credentials."""
    repository = private_git.create("refusing", PROJECTS / "no-pyproject", lock=False)
    token = "ghp-wrong-5a9c2e7d"  # noqa: S105 - planted to be looked for
    deployment = stack.api.deploy(
        "refused", "flows.py:hello", [git_clone(repository.url.replace("://", f"://ada:{token}@"))]
    )
    flow_run = stack.api.create_run(deployment)
    stack.api.submit(flow_run)
    container = stack.start_directly(flow_run)
    run = stack.finish(flow_run, container)
    planted = Planted((f"ada:{token}", stack.server.auth_string))
    assert "error[git-unauthorized]" in run.outcome.stderr, run.report()
    assert run.outcome.exit_code == 71, run.report()
    assert planted.found_in(run.report().encode()) == []
    assert in_files(container, planted) == {}
