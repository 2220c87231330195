"""Pull steps, with the semantics of Prefect's."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from prefect_uv.errors import PullStepError, PullStepUnsupportedError
from prefect_uv.pull import Workspace, pull
from prefect_uv.runlog import RunLog
from tests.unit.conftest import Origin

CLONE = "prefect.deployments.steps.git_clone"
SET = "prefect.deployments.steps.set_working_directory"
READ_ONLY = Path("/proc")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The process's working directory; temporary ones are the test's, too."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    directory = tmp_path / "here"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory


def perform(log: RunLog, *steps: Any, **deployment: Any) -> Workspace:
    """The workspace after these steps."""
    return pull({"pull_steps": list(steps), **deployment}, os.environ, log)


def test_set_working_directory_absolute(log: RunLog, tmp_path: Path) -> None:
    """An absolute path is taken as it is; the process's own directory stays."""
    before = Path.cwd()
    assert perform(log, {SET: {"directory": str(tmp_path)}}).directory == tmp_path
    assert Path.cwd() == before


def test_set_working_directory_relative(log: RunLog, here: Path) -> None:
    """A relative path starts from where the step before led to."""
    (here / "a" / "b").mkdir(parents=True)
    assert perform(log, {SET: {"directory": "a"}}, {SET: {"directory": "b"}}).directory == here / "a" / "b"


def test_set_working_directory_missing(log: RunLog, here: Path) -> None:
    """A directory that does not exist is named."""
    with pytest.raises(PullStepError) as caught:
        perform(log, {SET: {"directory": "nowhere"}})
    assert caught.value.headline == f"The working directory {here / 'nowhere'} does not exist."


def test_clone_becomes_the_directory(log: RunLog, here: Path, origin: Origin) -> None:
    """After a clone the flow runs in it, and the next clone lands beside it."""
    workspace = perform(
        log,
        {CLONE: {"repository": origin.url}},
        {CLONE: {"repository": origin.url, "clone_directory_name": "second"}},
    )
    assert workspace.directory == here / "second"
    assert (here / "flows" / "flow.py").is_file()


def test_clone_then_set_working_directory(log: RunLog, here: Path, origin: Origin) -> None:
    """As Prefect's own documentation has it: the directory in the clone by its path from the start."""
    (origin.path / "etl").mkdir()
    origin.commit("etl/flow.py", "x")
    workspace = perform(log, {CLONE: {"repository": origin.url}}, {SET: {"directory": "flows/etl"}})
    assert workspace.directory == here / "flows" / "etl"


def test_without_steps_the_code_is_at_path(log: RunLog, here: Path, tmp_path: Path) -> None:
    """No pull steps: the deployment's path, or here."""
    assert pull({"path": str(tmp_path)}, os.environ, log).directory == tmp_path
    assert pull({"path": None, "pull_steps": None}, os.environ, log).directory == here


def test_storage_block_is_refused(log: RunLog) -> None:
    """Code in a storage block is not supported yet, and says so."""
    with pytest.raises(PullStepUnsupportedError, match="storage block, which is not supported yet"):
        pull({"storage_document_id": "x"}, os.environ, log)


def test_unsupported_step_is_named(log: RunLog) -> None:
    """A step that is not supported stops with an error that names it and its number."""
    with pytest.raises(PullStepUnsupportedError) as caught:
        perform(log, {SET: {"directory": "."}}, {"prefect_aws.deployments.steps.pull_from_s3": {}})
    expected = "Pull step 2 is prefect_aws.deployments.steps.pull_from_s3, which is not supported yet."
    assert caught.value.headline == expected
    assert CLONE in caught.value.found


@pytest.mark.parametrize("step", ["git_clone", {}, {CLONE: {}, SET: {}}, None])
def test_malformed_step(log: RunLog, step: Any) -> None:
    """A step is a mapping of one function to its inputs."""
    with pytest.raises(PullStepError, match="Pull step 1 is not a mapping"):
        perform(log, step)


@pytest.mark.parametrize("inputs", [None, {}])
def test_clone_without_repository(log: RunLog, inputs: Any) -> None:
    """A clone of nothing is refused."""
    with pytest.raises(PullStepError, match="git_clone has no repository"):
        perform(log, {CLONE: inputs})


def test_placeholder_is_refused(log: RunLog) -> None:
    """A placeholder is not taken for a value: nothing is cloned, the input is named, not its value."""
    with pytest.raises(PullStepUnsupportedError) as caught:
        perform(log, {CLONE: {"repository": "https://x", "branch": "{{ prefect.variables.branch }}"}})
    assert caught.value.headline == f"Pull step 1 ({CLONE}) has a placeholder in branch, which is not supported yet."


def test_unsupported_input_is_named(log: RunLog, origin: Origin) -> None:
    """An input that cannot be followed yet is refused instead of ignored."""
    with pytest.raises(PullStepUnsupportedError, match="include_submodules, which is not supported yet"):
        perform(log, {CLONE: {"repository": origin.url, "include_submodules": True}})


def test_inputs_without_meaning_are_left_out(log: RunLog, here: Path, origin: Origin) -> None:
    """`id`, `requires`, and inputs that are null or off change nothing."""
    inputs = {"repository": origin.url, "id": "clone", "requires": "x", "access_token": None}
    workspace = perform(log, {CLONE: {**inputs, "include_submodules": False, "branch": None}})
    assert workspace.directory == here / "flows"


def test_read_only_base_falls_back(log: RunLog, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be written, the clone goes to a temporary directory."""
    monkeypatch.chdir(READ_ONLY)
    workspace = perform(log, {CLONE: {"repository": origin.url}})
    assert (workspace.directory / "flow.py").is_file()
    assert not workspace.directory.is_relative_to(READ_ONLY)


@pytest.mark.parametrize("deployment", [{}, {"path": "."}, {"pull_steps": [{SET: {"directory": "."}}]}])
def test_code_in_a_read_only_directory(
    log: RunLog, deployment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code that is baked into an image with a read-only root is found where it is: here."""
    monkeypatch.chdir(READ_ONLY)
    assert pull(deployment, os.environ, log).directory == READ_ONLY
