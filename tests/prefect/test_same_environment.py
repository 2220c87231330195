"""Whatever a flow starts sees the environment that the flow itself is in."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import UUID

import pytest

from tests.prefect.conftest import PROJECTS
from tests.stack import Run, Stack, git_clone

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]

SEEN = re.compile(r"^seen: (.+)$", re.MULTILINE)
EXTRA = {"PREFECT_UV_EXTRA_PACKAGES": "cowsay==6.1"}
INSTALLED = {"PREFECT_UV_INSTALL_PROJECT": "true"}
SCRIPT = {"PREFECT_UV_PROJECT": "script.py"}
FILES = {"PREFECT_UV_REQUIREMENTS": "requirements.txt"}
SOURCES = {"PREFECT_UV_SOURCE_ROOT": "src"}
BY_PYTHON = {"PREFECT_UV_LAUNCHER": "python"}
OWN_SCRIPT = "the project's own console script"
WAYS = {
    "the flow",
    "a process pool",
    "sys.executable",
    "python",
    "uv run",
    "a console script of a dependency",
}


@pytest.fixture(scope="module")
def deployment(stack: Stack) -> UUID:
    """The flow that looks at itself."""
    repository = stack.git.create("everywhere", PROJECTS / "everywhere")
    return stack.deploy("everywhere", "everywhere.flows.report", [git_clone(repository.url)])


@pytest.mark.parametrize(
    ("variables", "versions"),
    [
        pytest.param(EXTRA, ("7.1", None, "6.1"), id="project"),
        pytest.param(BY_PYTHON, ("7.1", None, None), id="project-by-python"),
        pytest.param({**INSTALLED, **EXTRA}, ("7.1", "3.4.5", "6.1"), id="installed"),
        pytest.param({**SCRIPT, **SOURCES}, (None, None, None), id="script"),
        pytest.param(
            {"PREFECT_UV_REQUIREMENTS": "requirements.txt", **SOURCES, **EXTRA}, (None, None, "6.1"), id="files"
        ),
    ],
)
def test_every_process_sees_the_same(
    stack: Stack, deployment: UUID, variables: dict[str, str], versions: tuple[str | None, ...]
) -> None:
    """Processes, pools, `uv run` and console scripts, by both launchers, in every shape, with extra packages."""
    run = stack.run_and_wait(deployment, environment=variables)
    assert run.state.name == "Completed", run.report()
    ways = _ways(run)
    assert set(ways) == WAYS | ({OWN_SCRIPT} if "PREFECT_UV_INSTALL_PROJECT" in variables else set()), run.report()
    flow = ways["the flow"]
    assert flow["environment"].startswith("/cache/envs/v1/"), run.report()
    assert (flow["everywhere"], flow["counted"], flow["cowsay"]) == versions, run.report()
    assert ways == dict.fromkeys(ways, flow), run.report()


def _ways(run: Run) -> dict[str, dict[str, Any]]:
    found = SEEN.search(run.messages)
    if not found:
        raise AssertionError(run.report())
    ways: dict[str, dict[str, Any]] = json.loads(found[1])
    return ways
