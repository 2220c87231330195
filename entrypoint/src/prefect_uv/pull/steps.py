"""Pull steps with the semantics of Prefect 3.8.8 (`prefect/deployments/steps/`), without importing it.

The working directory is a value: it is the last `directory` that a step gave, and the process's own never changes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect_uv.errors import PullStepError, PullStepUnsupportedError
from prefect_uv.pull.git import git_clone
from prefect_uv.runlog import RunLog

Inputs = dict[str, Any]
Step = Callable[[Inputs, "Workspace"], "Workspace"]


@dataclass(frozen=True)
class Workspace:
    """Where the steps have come to.

    Attributes:
        base: the directory that relative paths of the next step start from.
        directory: the working directory of the flow.
        environ: the environment for child processes.
        log: told what was done; its mask takes the credentials that steps carry.
    """

    base: Path
    directory: Path
    environ: Mapping[str, str]
    log: RunLog


def pull(deployment: Mapping[str, Any], environ: Mapping[str, str], log: RunLog) -> Workspace:
    """Perform the deployment's pull steps; without any, the code is where `path` says.

    Raises:
        PullStepError, PullStepUnsupportedError, CloneError: naming the step.
    """
    workspace = Workspace(Path.cwd(), Path.cwd(), environ, log)
    steps = deployment.get("pull_steps") or []
    if not steps:
        return _in_place(deployment, workspace)
    for number, step in enumerate(steps, start=1):
        workspace = _perform(number, step, workspace)
    return workspace


def _writable(directory: Path) -> Path:
    """The directory itself, or a fresh temporary one where nothing can be written to it."""
    try:
        with tempfile.TemporaryFile(dir=directory):
            return directory
    except OSError:
        return Path(tempfile.mkdtemp(prefix="prefect-uv-"))


def _in_place(deployment: Mapping[str, Any], workspace: Workspace) -> Workspace:
    if deployment.get("storage_document_id"):
        message = "The deployment keeps its code in a storage block, which is not supported yet."
        raise PullStepUnsupportedError(message, hint="Give the deployment a git_clone pull step.")
    return set_working_directory({"directory": deployment.get("path") or "."}, workspace)


def _perform(number: int, step: Any, workspace: Workspace) -> Workspace:
    if not isinstance(step, dict) or len(step) != 1:
        message = f"Pull step {number} is not a mapping of one step function to its inputs."
        raise PullStepError(message, repr(step))
    ((function, inputs),) = step.items()
    perform = STEPS.get(function)
    if perform is None:
        raise PullStepUnsupportedError(
            f"Pull step {number} is {function}, which is not supported yet.",
            f"Supported are {', '.join(STEPS)}.",
            "Use git_clone and set_working_directory, or bake the code into an image FROM ours.",
        )
    return perform(_checked(number, function, inputs or {}), workspace)


def _checked(number: int, function: str, inputs: Mapping[str, Any]) -> Inputs:
    templated = [name for name, value in inputs.items() if "{{" in str(value)]
    if templated:
        raise PullStepUnsupportedError(
            f"Pull step {number} ({function}) has a placeholder in {', '.join(templated)}, which is not supported yet."
        )
    return {name: value for name, value in inputs.items() if name not in {"id", "requires"} and value is not None}


def set_working_directory(inputs: Inputs, workspace: Workspace) -> Workspace:
    """`prefect.deployments.steps.set_working_directory`: the directory must exist."""
    directory = workspace.base / str(inputs.get("directory", ""))
    if not directory.is_dir():
        raise PullStepError(
            f"The working directory {directory} does not exist.",
            hint="Bake the code into the image at this path, or add a git_clone step that brings it.",
        )
    return Workspace(directory, directory, workspace.environ, workspace.log)


def clone(inputs: Inputs, workspace: Workspace) -> Workspace:
    """`prefect.deployments.steps.git_clone`: the clone becomes the working directory, the base stays."""
    base = _writable(workspace.base)
    directory = git_clone(inputs, base, workspace.environ, workspace.log)
    return Workspace(base, directory, workspace.environ, workspace.log)


STEPS: dict[str, Step] = {
    "prefect.deployments.steps.git_clone": clone,
    "prefect.deployments.steps.set_working_directory": set_working_directory,
}
