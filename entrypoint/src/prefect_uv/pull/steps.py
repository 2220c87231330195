"""Pull steps with the semantics of Prefect 3.8.8 (`prefect/deployments/steps/`), without importing it.

The working directory is a value: it is the last `directory` that a step gave, and the process's own never changes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from prefect_uv.api import Api
from prefect_uv.errors import PrefectUvError, PullStepError
from prefect_uv.pull.clone import git_clone
from prefect_uv.pull.requirements import pip_install_requirements
from prefect_uv.pull.shell import run_shell_script
from prefect_uv.pull.templating import Blocks, resolve
from prefect_uv.pull.workspace import Inputs, Tools, Workspace
from prefect_uv.runlog import RunLog
from prefect_uv.settings import Settings

RESERVED = ("id", "requires")
MODULES = ("prefect.deployments.steps", "prefect.deployments.steps.pull", "prefect.deployments.steps.utility")
KINDS: dict[str, type[Any]] = {"str": str, "list": list, "Mapping": Mapping}
SECRET_NAMES = ("secret", "password", "token", "credential")


def pull(deployment: Mapping[str, Any], settings: Settings, log: RunLog, api: Api | None) -> Workspace:
    """Bring the deployment's code: by its pull steps, from its storage block, or it is where `path` says.

    Raises:
        PullStepError: a step cannot be performed as it is written.
        CloneError: git failed.
    """
    tools = Tools(settings, log, Blocks(api, log.mask))
    here = Path.cwd()
    workspace = Workspace(here, here, settings.flow_environ)
    if steps := deployment.get("pull_steps"):
        return perform(steps, tools, workspace if _only_moves(steps[0]) else workspace.writable())
    if deployment.get("storage_document_id"):
        from prefect_uv.pull.delegate import from_storage  # noqa: PLC0415 (few deployments have a storage block)

        return from_storage(tools, workspace.writable(), deployment, _path(deployment, settings))
    return set_working_directory(tools, workspace, directory=_path(deployment, settings) or ".")[1]


def perform(steps: list[Any], tools: Tools, workspace: Workspace) -> Workspace:
    """Perform steps in order, with the lines that Prefect's runner logs."""
    tools.log.info(f"Running {len(steps)} deployment pull step(s)")
    for number, step in enumerate(steps, start=1):
        if not step:
            continue
        if not isinstance(step, dict) or len(step) != 1:
            message = f"Pull step {number} is not a mapping of one step function to its inputs."
            raise PullStepError(message)
        ((function, inputs),) = step.items()
        workspace = _numbered(number, function, dict(inputs or {}), tools, workspace)
    tools.log.info("All deployment steps completed successfully")
    return workspace


def _numbered(number: int, function: str, inputs: Inputs, tools: Tools, workspace: Workspace) -> Workspace:
    name = function.rpartition(".")[2]
    tools.log.info(f"Executing deployment step: {name}")
    try:
        workspace = _resolved(function, inputs, tools, workspace)
    except PrefectUvError as error:
        error.found = f"In pull step {number}, {function}.\n\n{error.found}".strip()
        raise
    tools.log.info(f"Deployment step '{name}' completed successfully")
    return workspace


def _resolved(function: str, inputs: Inputs, tools: Tools, workspace: Workspace) -> Workspace:
    reserved = {key: inputs.pop(key, None) for key in RESERVED}
    inputs = resolve(inputs, workspace.outputs, workspace.environ, tools.blocks)
    tools.log.mask.add(*_secrets(inputs))
    module, _, name = function.rpartition(".")
    if module in MODULES and name in NATIVE:
        output, workspace = _native(NATIVE[name], inputs, tools, workspace)
    else:
        from prefect_uv.pull.delegate import delegated  # noqa: PLC0415 (few deployments have such a step)

        output, workspace = delegated(tools, workspace, function, inputs, _list(reserved["requires"]))
    return workspace.with_output(reserved["id"], output)


def _native(step: Callable[..., Any], inputs: Inputs, tools: Tools, workspace: Workspace) -> tuple[Inputs, Workspace]:
    """Call a step of ours, having checked that it takes these inputs."""
    signature = inspect.signature(step)
    try:
        signature.bind(tools, workspace, **inputs)
    except TypeError as error:
        message = f"The inputs of {step.__name__} are not right: {error}."
        raise PullStepError(message, hint="A placeholder without a value removes its input.") from None
    for name, value in inputs.items():
        kind, _, optional = str(signature.parameters[name].annotation).partition(" | ")
        wanted = KINDS.get(kind.partition("[")[0], object)
        if not isinstance(value, wanted) and not (value is None and optional):
            raise PullStepError(f"The {name} of {step.__name__} is {type(value).__name__}, not {kind}.")
    result: tuple[Inputs, Workspace] = step(tools, workspace, **inputs)
    return result


def set_working_directory(_tools: Tools, workspace: Workspace, *, directory: str) -> tuple[Inputs, Workspace]:
    """The directory must exist; paths of the steps after it start from there."""
    place = (workspace.base / directory).resolve()
    if not place.is_dir():
        raise PullStepError(
            f"The working directory {place} does not exist.",
            hint="Bake the code into the image at this path, or add a git_clone step that brings it.",
        )
    return {"directory": str(place)}, replace(workspace, base=place, directory=place)


def _path(deployment: Mapping[str, Any], settings: Settings) -> str | None:
    path, base = deployment.get("path"), settings.flow_environ.get("PREFECT__STORAGE_BASE_PATH")
    return path.replace("$STORAGE_BASE_PATH", base) if path and base else path


def _only_moves(step: Any) -> bool:
    return isinstance(step, dict) and all(str(name).endswith(".set_working_directory") for name in step)


def _list(requires: Any) -> list[str]:
    return [requires] if isinstance(requires, str) else list(requires or [])


def _secrets(inputs: Inputs) -> list[str]:
    """Texts whose input's name calls them secret, wherever they came from."""
    return [
        value
        for name, value in inputs.items()
        if isinstance(value, str) and any(word in name.lower() for word in SECRET_NAMES)
    ]


NATIVE: dict[str, Callable[..., tuple[Inputs, Workspace]]] = {
    "agit_clone": git_clone,
    "git_clone": git_clone,
    "pip_install_requirements": pip_install_requirements,
    "run_shell_script": run_shell_script,
    "set_working_directory": set_working_directory,
}
