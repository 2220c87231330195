"""Every process that a flow starts sees the flow's own environment."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.prefect.conftest import PROJECTS
from tests.stack import HARDENED_AND_BUILDING, Run, Stack, git_clone
from tests.stack.images import built, configured

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]

SEEN = re.compile(r"^seen: (.+)$", re.MULTILINE)
EXTRA = {"PREFECT_UV_EXTRA_PACKAGES": "cowsay==6.1 coverage==7.13.0"}
INSTALLED = {"PREFECT_UV_INSTALL_PROJECT": "true"}
UNSUPERVISED = {"PREFECT_UV_SUPERVISE": "false"}
MEMBER = {"PREFECT_UV_PROJECT": "member"}
SCRIPT = {"PREFECT_UV_PROJECT": "script.py"}
SOURCES = {"PREFECT_UV_SOURCE_ROOT": "src"}
FILES = {"PREFECT_UV_REQUIREMENTS": "requirements.txt", **SOURCES}
BY_PYTHON = {"PREFECT_UV_LAUNCHER": "python"}
OWN_SCRIPT = "the project's own console script"
EXTRA_SCRIPT = "a console script of an extra package"
DOCKERFILE = """\
ARG BASE
FROM ${BASE}
COPY --chown=1000:0 . /tmp/everywhere
WORKDIR /tmp/everywhere
RUN prefect-uv bake
WORKDIR /opt/prefect
"""
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
    """A flow that reports what its processes see."""
    repository = stack.git.create("everywhere", PROJECTS / "everywhere")
    options = {"container_create_kwargs": HARDENED_AND_BUILDING}
    return stack.deploy("everywhere", "everywhere.flows.report", [git_clone(repository.url)], **options)


@pytest.mark.parametrize(
    ("variables", "versions"),
    [
        pytest.param(EXTRA, ("7.1", None, "6.1"), id="project", marks=pytest.mark.full),
        pytest.param({**MEMBER, **EXTRA}, ("7.1", None, "6.1"), id="member"),
        pytest.param(UNSUPERVISED, ("7.1", None, None), id="unsupervised"),
        pytest.param(BY_PYTHON, ("7.1", None, None), id="project-by-python", marks=pytest.mark.full),
        pytest.param({**INSTALLED, **EXTRA}, ("7.1", "3.4.5", "6.1"), id="installed"),
        pytest.param({**SCRIPT, **SOURCES}, (None, None, None), id="script", marks=pytest.mark.full),
        pytest.param({**FILES, **EXTRA}, (None, None, "6.1"), id="files", marks=pytest.mark.full),
        pytest.param({**FILES, **EXTRA, **BY_PYTHON}, (None, None, "6.1"), id="files-by-python"),
    ],
)
def test_every_process_sees_the_same(
    stack: Stack, deployment: UUID, variables: dict[str, str], versions: tuple[str | None, ...]
) -> None:
    """Processes, pools, `uv run` and console scripts see the same, with both launchers and in every shape.

    The rows that `make test` leaves out combine what the other rows have.
    """
    run = stack.run_and_wait(deployment, environment=variables, expected=["PREFECT_UV_SUPERVISE=false: "])
    assert run.state.name == "Completed", run.report()
    ways = _ways(run)
    scripts = {OWN_SCRIPT: INSTALLED, EXTRA_SCRIPT: EXTRA}
    assert set(ways) == WAYS | {way for way, setting in scripts.items() if setting.keys() <= variables.keys()}, (
        run.report()
    )
    flow = ways["the flow"]
    assert flow["environment"].startswith("/cache/envs/v1/"), run.report()
    assert (flow["everywhere"], flow["counted"], flow["cowsay"]) == versions, run.report()
    assert ways == dict.fromkeys(ways, flow), run.report()


def test_every_process_sees_the_same_baked(stack: Stack, tmp_path: Path) -> None:
    """A baked environment, which is read-only and has no uv cache, looks the same to every process."""
    repository = stack.git.create("everywhere-baked", PROJECTS / "everywhere")
    (repository.work / "Dockerfile").write_text(DOCKERFILE)
    repository.commit("Add an image")
    with configured(stack.image, tmp_path) as base, built(repository.work, f"--build-arg=BASE={base}") as image:
        deployment = stack.deploy("baked", "everywhere.flows.report", [git_clone(repository.url)], image=image)
        run = stack.run_and_wait(deployment)
    assert run.state.name == "Completed", run.report()
    ways = _ways(run)
    assert set(ways) == WAYS, run.report()
    assert ways["the flow"]["environment"].startswith("/opt/baked/envs/v1/"), run.report()
    assert ways == dict.fromkeys(ways, ways["the flow"]), run.report()


def test_uv_leaves_the_shared_environment_as_it_is(stack: Stack) -> None:
    """`uv pip` is refused; `uv sync` and `uv add` create an environment in the checkout (uv 0.13.8, observed)."""
    repository = stack.git.create("changing", PROJECTS / "everywhere")
    deployment = stack.deploy("changing", "everywhere.flows.change", [git_clone(repository.url)])
    run = stack.run_and_wait(deployment, expected=["seen: "])
    assert run.state.name == "Completed", run.report()
    ways = _ways(run)
    assert ways.pop("unchanged") is True, run.report()
    codes = {command: code for command, (code, _) in ways.items()}
    refused = {"pip install cowsay": 2, "pip uninstall mako": 2}
    assert codes == {**refused, "pip install --target aside cowsay": 0, "sync": 0, "add cowsay": 0}, run.report()
    messages = [ways[command][1] for command in refused]
    expected = "flow runs share their environments, so uv does not change them"
    assert all(expected in text for text in messages), run.report()
    assert "Creating virtual environment at: .venv" in ways["sync"][1], run.report()


def _ways(run: Run) -> dict[str, Any]:
    match = SEEN.search(run.messages)
    if not match:
        raise AssertionError(run.report())
    ways: dict[str, Any] = json.loads(match[1])
    return ways
