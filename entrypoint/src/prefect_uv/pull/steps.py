"""Pull steps with the semantics of Prefect 3.8.8 (`prefect/deployments/steps/`), without importing it.

The working directory is a value: it is the last `directory` that a step gave, and the process's own never changes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from prefect_uv.api.client import ApiClient
from prefect_uv.errors import PrefectUvError, PullStepError
from prefect_uv.log.run_log import RunLog
from prefect_uv.pull.checkout import Checkout, StepContext, StepInputs
from prefect_uv.pull.git.clone_step import git_clone
from prefect_uv.pull.requirements_step import pip_install_requirements
from prefect_uv.pull.shell_step import run_shell_script
from prefect_uv.pull.templating import Blocks, resolve_placeholders
from prefect_uv.settings import Settings

RESERVED = ("id", "requires")
MODULES = ("prefect.deployments.steps", "prefect.deployments.steps.pull", "prefect.deployments.steps.utility")
KINDS: dict[str, type[Any]] = {"str": str, "list": list, "Mapping": Mapping}
SECRET_NAMES = ("secret", "password", "token", "credential")


def pull(deployment: Mapping[str, Any], settings: Settings, log: RunLog, api: ApiClient | None) -> Checkout:
    """Bring the deployment's code: by its pull steps, from its storage block, or it is where `path` says.

    Raises:
        PullStepError: a step cannot be performed as it is written.
        CloneError: git failed.
    """
    context = StepContext(settings, log, Blocks(api, log.mask))
    here = Path.cwd()
    checkout = Checkout(here, here, settings.flow_environ)
    if steps := deployment.get("pull_steps"):
        return perform_steps(steps, context, checkout if _only_moves(steps[0]) else checkout.writable())
    if deployment.get("storage_document_id"):
        from prefect_uv.pull.delegated_step import pull_from_storage  # noqa: PLC0415 (few deployments have a storage block)

        return pull_from_storage(context, checkout.writable(), deployment, _path(deployment, settings))
    return set_working_directory(context, checkout, directory=_path(deployment, settings) or ".")[1]


def perform_steps(steps: list[Any], context: StepContext, checkout: Checkout) -> Checkout:
    """Perform steps in order, with the lines that Prefect's runner logs."""
    context.log.info(f"Running {len(steps)} deployment pull step(s)")
    for number, step in enumerate(steps, start=1):
        if not step:
            continue
        if not isinstance(step, dict) or len(step) != 1:
            message = f"Pull step {number} is not a mapping of one step function to its inputs."
            raise PullStepError(message)
        ((function, inputs),) = step.items()
        checkout = _numbered(number, function, dict(inputs or {}), context, checkout)
    context.log.info("All deployment steps completed successfully")
    return checkout


def _numbered(number: int, function: str, inputs: StepInputs, context: StepContext, checkout: Checkout) -> Checkout:
    name = function.rpartition(".")[2]
    context.log.info(f"Executing deployment step: {name}")
    try:
        checkout = _resolved(function, inputs, context, checkout)
    except PrefectUvError as error:
        error.found = f"In pull step {number}, {function}.\n\n{error.found}".strip()
        raise
    context.log.info(f"Deployment step '{name}' completed successfully")
    return checkout


def _resolved(function: str, inputs: StepInputs, context: StepContext, checkout: Checkout) -> Checkout:
    reserved = {key: inputs.pop(key, None) for key in RESERVED}
    inputs = resolve_placeholders(inputs, checkout.outputs, checkout.environ, context.blocks)
    context.log.mask.add(*_secrets(inputs))
    module, _, name = function.rpartition(".")
    if module in MODULES and name in NATIVE:
        output, checkout = _native(NATIVE[name], inputs, context, checkout)
    else:
        from prefect_uv.pull.delegated_step import run_delegated_step  # noqa: PLC0415 (few deployments have such a step)

        output, checkout = run_delegated_step(context, checkout, function, inputs, _list(reserved["requires"]))
    return checkout.with_output(reserved["id"], output)


def _native(
    step: Callable[..., Any], inputs: StepInputs, context: StepContext, checkout: Checkout
) -> tuple[StepInputs, Checkout]:
    """Call a step of ours, having checked that it takes these inputs."""
    signature = inspect.signature(step)
    try:
        signature.bind(context, checkout, **inputs)
    except TypeError as error:
        message = f"The inputs of {step.__name__} are not right: {error}."
        raise PullStepError(message, hint="A placeholder without a value removes its input.") from None
    for name, value in inputs.items():
        kind, _, optional = str(signature.parameters[name].annotation).partition(" | ")
        wanted = KINDS.get(kind.partition("[")[0], object)
        if not isinstance(value, wanted) and not (value is None and optional):
            raise PullStepError(f"The {name} of {step.__name__} is {type(value).__name__}, not {kind}.")
    result: tuple[StepInputs, Checkout] = step(context, checkout, **inputs)
    return result


def set_working_directory(_tools: StepContext, checkout: Checkout, *, directory: str) -> tuple[StepInputs, Checkout]:
    """The directory must exist; paths of the steps after it start from there."""
    place = (checkout.base / directory).resolve()
    if not place.is_dir():
        raise PullStepError(
            f"The working directory {place} does not exist.",
            hint="Bake the code into the image at this path, or add a git_clone step that brings it.",
        )
    return {"directory": str(place)}, replace(checkout, base=place, directory=place)


def _path(deployment: Mapping[str, Any], settings: Settings) -> str | None:
    path, base = deployment.get("path"), settings.flow_environ.get("PREFECT__STORAGE_BASE_PATH")
    return path.replace("$STORAGE_BASE_PATH", base) if path and base else path


def _only_moves(step: Any) -> bool:
    return isinstance(step, dict) and all(str(name).endswith(".set_working_directory") for name in step)


def _list(requires: Any) -> list[str]:
    return [requires] if isinstance(requires, str) else list(requires or [])


def _secrets(inputs: StepInputs) -> list[str]:
    """Texts whose input's name calls them secret, wherever they came from."""
    return [
        value
        for name, value in inputs.items()
        if isinstance(value, str) and any(word in name.lower() for word in SECRET_NAMES)
    ]


NATIVE: dict[str, Callable[..., tuple[StepInputs, Checkout]]] = {
    "agit_clone": git_clone,
    "git_clone": git_clone,
    "pip_install_requirements": pip_install_requirements,
    "run_shell_script": run_shell_script,
    "set_working_directory": set_working_directory,
}
