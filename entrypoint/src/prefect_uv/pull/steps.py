"""Pull steps with the semantics of Prefect, without importing it.

The working directory is a value, the last `directory` that a step returned; the process's own never changes.

Prefect 3.8.8: run_step and run_steps, https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/deployments/steps/core.py
"""

from __future__ import annotations

import errno
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from prefect_uv.api.client import ApiClient
from prefect_uv.errors import PrefectUvError, PullStepError
from prefect_uv.log.run_log import RunLog
from prefect_uv.pull.checkout import Checkout, StepContext, StepInputs
from prefect_uv.pull.code_step import pull_code
from prefect_uv.pull.git.clone_step import git_clone
from prefect_uv.pull.requirements_step import pip_install_requirements
from prefect_uv.pull.shell_step import run_shell_script
from prefect_uv.pull.templating import Blocks, resolve_placeholders, strings_in
from prefect_uv.settings import Settings
from prefect_uv.shapes import TEXT_OR_NONE, is_text, mismatch

STEP_MODULES = ("prefect.deployments.steps", "prefect.deployments.steps.pull", "prefect.deployments.steps.utility")
INPUT_TYPES: dict[str, type[Any]] = {"str": str, "list": list, "Mapping": Mapping}
FUNCTION = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+")
PATH_ERRORS = {errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR}
SECRET_WORDS = ("secret", "password", "token", "credential")


def pull(
    deployment: Mapping[str, Any], settings: Settings, log: RunLog, api: ApiClient | None, base: Path | None = None
) -> Checkout:
    """Perform the deployment's pull steps; without any, read its storage block or go to its `path`.

    Code is pulled into `base`; without it, into our working directory, if that is writable.

    Raises:
        PullStepError: a step cannot be performed as it is written.
        CloneError: git failed.
    """
    context = StepContext(settings, log, Blocks(api, log.mask))
    working_directory = Path.cwd()
    checkout = Checkout(working_directory, working_directory, settings.flow_environ)
    if steps := deployment.get("pull_steps"):
        return perform_steps(steps, context, checkout if _only_changes_directory(steps[0]) else checkout.writable(base))
    path = _deployment_path(deployment, settings.flow_environ)
    if deployment.get("storage_document_id"):
        from prefect_uv.pull.delegated_step import pull_from_storage  # noqa: PLC0415 (few deployments have a storage block)

        return replace(pull_from_storage(context, checkout.writable(base), deployment, path), pulled=True)
    return set_working_directory(context, checkout, directory=path or ".")[1]


def perform_steps(steps: list[Any], context: StepContext, checkout: Checkout) -> Checkout:
    """Perform steps in order, and log as details the lines that Prefect logs for them.

    Prefect 3.8.8: load_flow_from_flow_run, https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/flows.py
    """
    context.log.detail(f"Running {len(steps)} deployment pull step(s)")
    for number, step in enumerate(steps, start=1):
        if not step:
            continue
        checkout = _perform_logged(number, *_function_and_inputs(number, step), context, checkout)
    context.log.detail("All deployment steps completed successfully")
    return checkout


def _function_and_inputs(number: int, step: Any) -> tuple[str, StepInputs]:
    """The full name of a step's function, and a copy of its inputs."""
    if not isinstance(step, dict) or len(step) != 1:
        message = f"Pull step {number} is not a mapping of one step function to its inputs."
        raise PullStepError(message)
    ((function, inputs),) = step.items()
    if not FUNCTION.fullmatch(function):
        message = f"Pull step {number} is {function!r}, which is not the full name of a function."
        raise PullStepError(message)
    if not isinstance(inputs or {}, dict):
        message = f"The inputs of pull step {number}, {function}, are not a mapping."
        raise PullStepError(message)
    return function, dict(inputs or {})


def _perform_logged(
    number: int, function: str, inputs: StepInputs, context: StepContext, checkout: Checkout
) -> Checkout:
    name = function.rpartition(".")[2]
    context.log.detail(f"Executing deployment step: {name}")
    try:
        try:
            checkout = _resolve_and_perform(function, inputs, context, checkout)
        except OSError as error:
            if error.errno not in PATH_ERRORS:
                raise
            message = f"{name} has an input that cannot be a path: {error.strerror}."
            raise PullStepError(message, str(error.filename)) from None
    except PrefectUvError as error:
        error.found = f"In pull step {number}, {function}.\n\n{error.found}".strip()
        raise
    context.log.detail(f"Deployment step '{name}' completed successfully")
    return checkout


def _resolve_and_perform(function: str, inputs: StepInputs, context: StepContext, checkout: Checkout) -> Checkout:
    step_id, requires = _reserved_inputs(inputs)
    inputs = resolve_placeholders(inputs, checkout.outputs, checkout.environ, context.blocks)
    context.log.mask.add(*_secret_inputs(inputs))
    module, _, name = function.rpartition(".")
    if native := OWN_STEPS.get(function) or (NATIVE_STEPS.get(name) if module in STEP_MODULES else None):
        output, checkout = _call_native_step(native, inputs, context, checkout)
    else:
        from prefect_uv.pull.delegated_step import run_delegated_step  # noqa: PLC0415 (few deployments have such a step)

        output, checkout = run_delegated_step(context, checkout, function, inputs, requires)
        if isinstance(output, dict) and output.get("directory"):
            checkout = checkout.with_source(name)
    pulled = checkout.pulled or name != set_working_directory.__name__
    return replace(checkout.with_output(step_id, output), pulled=pulled)


def _reserved_inputs(inputs: StepInputs) -> tuple[str | None, list[str]]:
    """Take the inputs that every step may have from the others: its id, and the packages that it needs."""
    step_id, requires = inputs.pop("id", None), inputs.pop("requires", None) or []
    listed = [requires] if isinstance(requires, str) else requires
    if (wrong := mismatch(step_id, TEXT_OR_NONE, "id")) or (wrong := mismatch(listed, [str], "requires")):
        message = f"A reserved input of the step is invalid: {wrong}."
        raise PullStepError(message)
    return step_id, listed


def _call_native_step(
    step: Callable[..., Any], inputs: StepInputs, context: StepContext, checkout: Checkout
) -> tuple[StepInputs, Checkout]:
    """Check the inputs against the signature of one of our own steps, and call it."""
    signature = inspect.signature(step)
    try:
        signature.bind(context, checkout, **inputs)
    except TypeError as error:
        message = f"The inputs of {step.__name__} are invalid: {error}."
        hint = "Correct the step; a placeholder without a value removes its input."
        raise PullStepError(message, hint=hint) from None
    for name, value in inputs.items():
        annotation, _, optional = str(signature.parameters[name].annotation).partition(" | ")
        expected = INPUT_TYPES.get(annotation.partition("[")[0], object)
        if not isinstance(value, expected) and not (value is None and optional):
            raise PullStepError(f"{step.__name__}'s {name} has the type {type(value).__name__}, not {annotation}.")
        if not all(map(is_text, strings_in(value))):
            raise PullStepError(f"{step.__name__}'s {name} has characters that no path and no argument can have.")
    result: tuple[StepInputs, Checkout] = step(context, checkout, **inputs)
    return result


def set_working_directory(_context: StepContext, checkout: Checkout, *, directory: str) -> tuple[StepInputs, Checkout]:
    """Change to a directory, which must exist; paths of later steps start from there.

    Raises:
        PullStepError: the directory does not exist.
    """
    path = (checkout.base / directory).resolve()
    if not path.is_dir():
        raise PullStepError(
            f"The working directory {path} does not exist{'' if checkout.pulled else ', and nothing was pulled'}.",
            hint="Bake the code into the image at this path, or add a git_clone step that fetches it.",
        )
    return {"directory": str(path)}, replace(checkout, base=path, directory=path)


def _deployment_path(deployment: Mapping[str, Any], environ: Mapping[str, str]) -> str | None:
    """The deployment's `path` with $STORAGE_BASE_PATH replaced, as Prefect does it; None if it has none.

    Prefect 3.8.8: load_flow_from_flow_run, https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/flows.py
    """
    path, storage_base = deployment.get("path"), environ.get("PREFECT__STORAGE_BASE_PATH")
    return path.replace("$STORAGE_BASE_PATH", storage_base) if path and storage_base else path


def _only_changes_directory(step: Any) -> bool:
    return isinstance(step, dict) and all(str(function).endswith(".set_working_directory") for function in step)


def _secret_inputs(inputs: StepInputs) -> list[str]:
    """The string inputs whose names suggest a secret, wherever their values came from."""
    return [
        value
        for name, value in inputs.items()
        if isinstance(value, str) and any(word in name.lower() for word in SECRET_WORDS)
    ]


NATIVE_STEPS: dict[str, Callable[..., tuple[StepInputs, Checkout]]] = {
    "agit_clone": git_clone,
    "git_clone": git_clone,
    "pip_install_requirements": pip_install_requirements,
    "run_shell_script": run_shell_script,
    "set_working_directory": set_working_directory,
}
OWN_STEPS: dict[str, Callable[..., tuple[StepInputs, Checkout]]] = {"prefect_uv_deploy.steps.pull_code": pull_code}
