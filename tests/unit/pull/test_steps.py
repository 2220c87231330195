"""Pull steps have the semantics of Prefect's."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from prefect_uv.errors import PullStepError
from prefect_uv.log.run_log import RunLog
from prefect_uv.pull import Checkout, pull
from prefect_uv.settings import Settings
from tests.unit.conftest import Origin

CLONE = "prefect.deployments.steps.git_clone"
SET = "prefect.deployments.steps.set_working_directory"
SHELL = "prefect.deployments.steps.run_shell_script"
READ_ONLY = Path("/proc")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The process's working directory; temporary directories are below the test's, too."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    directory = tmp_path / "here"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory


def perform(log: RunLog, *steps: Any, **deployment: Any) -> Checkout:
    """The checkout after these steps."""
    return pull({"pull_steps": list(steps), **deployment}, Settings.from_environ(os.environ), log, None)


def test_set_working_directory_absolute(log: RunLog, tmp_path: Path) -> None:
    """An absolute path is used as it is; the process's own directory does not change."""
    before = Path.cwd()
    assert perform(log, {SET: {"directory": str(tmp_path)}}).directory == tmp_path
    assert Path.cwd() == before


def test_set_working_directory_relative(log: RunLog, here: Path) -> None:
    """A relative path starts from the directory of the step before."""
    (here / "a" / "b").mkdir(parents=True)
    assert perform(log, {SET: {"directory": "a"}}, {SET: {"directory": "b"}}).directory == here / "a" / "b"


def test_set_working_directory_missing(log: RunLog, here: Path) -> None:
    """The error names a directory that does not exist."""
    with pytest.raises(PullStepError) as caught:
        perform(log, {SET: {"directory": "nowhere"}})
    assert caught.value.headline == f"The working directory {here / 'nowhere'} does not exist, and nothing was pulled."


def test_clone_becomes_the_working_directory(log: RunLog, here: Path, origin: Origin) -> None:
    """The flow runs in the last clone; clones are made next to each other."""
    checkout = perform(
        log,
        {CLONE: {"repository": origin.url}},
        {CLONE: {"repository": origin.url, "clone_directory_name": "second"}},
    )
    assert checkout.directory == here / "second"
    assert (here / "flows" / "flow.py").is_file()


def test_clone_then_set_working_directory(log: RunLog, here: Path, origin: Origin) -> None:
    """A directory in the clone is named by its path from the base, as in Prefect's documentation."""
    (origin.path / "etl").mkdir()
    origin.commit("etl/flow.py", "x")
    checkout = perform(log, {CLONE: {"repository": origin.url}}, {SET: {"directory": "flows/etl"}})
    assert checkout.directory == here / "flows" / "etl"


def test_path_without_pull_steps(log: RunLog, here: Path, tmp_path: Path) -> None:
    """Without pull steps the code is at the deployment's path, or in the working directory."""
    assert pull({"path": str(tmp_path)}, Settings.from_environ(os.environ), log, None).directory == tmp_path
    assert pull({"path": None, "pull_steps": None}, Settings.from_environ(os.environ), log, None).directory == here


@pytest.mark.parametrize("step", ["git_clone", {CLONE: {}, SET: {}}, 5])
def test_malformed_step(log: RunLog, step: Any) -> None:
    """A step that is not a mapping of one function to its inputs is refused."""
    with pytest.raises(PullStepError, match="Pull step 1 is not a mapping"):
        perform(log, step)


@pytest.mark.parametrize("inputs", [None, {}])
def test_clone_without_repository(log: RunLog, inputs: Any) -> None:
    """A git_clone step without a repository is refused."""
    with pytest.raises(PullStepError, match="The inputs of git_clone are invalid: missing a required"):
        perform(log, {CLONE: inputs})


def test_placeholder_of_the_environment(log: RunLog, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`{{ $NAME }}` is a variable of the container's environment."""
    (here / "etl").mkdir()
    monkeypatch.setenv("FOLDER_OF_TESTS", "etl")
    assert perform(log, {SET: {"directory": "{{ $FOLDER_OF_TESTS }}"}}).directory == here / "etl"


def test_block_without_an_api(log: RunLog) -> None:
    """Without an API there are no blocks; the error names the step."""
    with pytest.raises(PullStepError) as caught:
        perform(log, {SET: {"directory": "{{ prefect.blocks.secret.x }}"}})
    assert caught.value.headline == "The block secret/x does not exist."
    assert caught.value.found == f"In pull step 1, {SET}."


def test_unknown_input(log: RunLog, origin: Origin) -> None:
    """An input that Prefect's step does not have is refused, not ignored."""
    with pytest.raises(PullStepError, match="got an unexpected keyword argument 'depth'"):
        perform(log, {CLONE: {"repository": origin.url, "depth": 1}})


def test_requirements_file_is_noted(log: RunLog, here: Path) -> None:
    """A requirements file is kept until the project's environment exists."""
    (here / "requirements.txt").write_text("cowsay\n")
    step: Any = {"prefect.deployments.steps.pip_install_requirements": {}}
    assert perform(log, step).requirements == (here / "requirements.txt",)


def test_requirements_file_missing(log: RunLog, here: Path) -> None:
    """The error names a requirements file that does not exist."""
    with pytest.raises(PullStepError) as caught:
        perform(log, {"prefect.deployments.steps.pip_install_requirements": {"requirements_file": "x.txt"}})
    assert caught.value.headline == f"The requirements file {here / 'x.txt'} does not exist."


def test_prefects_lines_are_logged(log: RunLog, capsys: pytest.CaptureFixture[str]) -> None:
    """The details have the lines that Prefect itself logs for pull steps."""
    log.verbose = True
    perform(log, {SET: {"directory": "."}})
    assert capsys.readouterr().err.splitlines() == [
        "prefect-uv: Running 1 deployment pull step(s)",
        "prefect-uv: Executing deployment step: set_working_directory",
        "prefect-uv: Deployment step 'set_working_directory' completed successfully",
        "prefect-uv: All deployment steps completed successfully",
    ]


def test_inputs_that_change_nothing(log: RunLog, here: Path, origin: Origin) -> None:
    """`id`, `requires` and inputs that are null or false change nothing."""
    inputs = {"repository": origin.url, "id": "clone", "requires": "x", "access_token": None}
    checkout = perform(log, {CLONE: {**inputs, "include_submodules": False, "branch": None}})
    assert checkout.directory == here / "flows"


def test_clone_from_a_read_only_directory(log: RunLog, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the working directory is not writable, the clone goes to a temporary directory."""
    monkeypatch.chdir(READ_ONLY)
    checkout = perform(log, {CLONE: {"repository": origin.url}})
    assert (checkout.directory / "flow.py").is_file()
    assert not checkout.directory.is_relative_to(READ_ONLY)


@pytest.mark.parametrize("deployment", [{}, {"path": "."}, {"pull_steps": [{SET: {"directory": "."}}]}])
def test_code_in_a_read_only_directory(
    log: RunLog, deployment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code that is baked into an image with a read-only root is used where it is."""
    monkeypatch.chdir(READ_ONLY)
    assert pull(deployment, Settings.from_environ(os.environ), log, None).directory == READ_ONLY


def test_origin_of_the_code(log: RunLog, here: Path, origin: Origin, capsys: pytest.CaptureFixture[str]) -> None:
    """Every repository is named with its commit, or else the directory; the steps themselves are only details."""
    assert perform(log, {SET: {"directory": "."}}).origin == f"in {here}"
    steps = [{CLONE: {"repository": origin.url, "clone_directory_name": name}} for name in ("lib", "flows")]
    source = f"{origin.url} at {origin.git('rev-parse', 'HEAD')[:12]} (cloned)"
    assert perform(log, *steps, {SET: {"directory": "flows"}}).origin == f"from {source}, {source}"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"script": "frob -v"}, "run_shell_script could not start `frob`: No such file or directory."),
        ({"script": "ls", "directory": "x"}, "run_shell_script could not start `HERE/x`: No such file or directory."),
        ({"script": "exit 3", "shell": True}, "run_shell_script failed: `exit` ended with exit code 3."),
    ],
)
def test_script_that_fails(
    log: RunLog, here: Path, monkeypatch: pytest.MonkeyPatch, inputs: dict[str, Any], message: str
) -> None:
    """The state names the program."""
    monkeypatch.setenv("PATH", str(here))
    with pytest.raises(PullStepError) as caught:
        perform(log, {SHELL: inputs})
    assert caught.value.summary().startswith(f"error[pull-step-invalid]: {message.replace('HERE', str(here))}")
