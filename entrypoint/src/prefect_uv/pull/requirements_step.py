"""The step `pip_install_requirements`: note the file, to install it once the project's environment exists.

Prefect installs into the environment that runs the flow. Ours is shared and never changes, so the flow gets another
one that also has these packages (`EnvironmentStore.extend`).

Prefect 3.8.8: pip_install_requirements, https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/deployments/steps/utility.py
"""

from __future__ import annotations

from dataclasses import replace

from prefect_uv.errors import PullStepError
from prefect_uv.pull.checkout import Checkout, StepContext, StepInputs


def pip_install_requirements(
    context: StepContext,
    checkout: Checkout,
    *,
    directory: str | None = None,
    requirements_file: str = "requirements.txt",
    stream_output: bool = True,  # noqa: ARG001 (uv is quiet)
) -> tuple[StepInputs, Checkout]:
    """Note a requirements file for the flow's environment.

    Raises:
        PullStepError: the file does not exist.
    """
    path = (checkout.base / (directory or ".") / requirements_file).resolve()
    if not path.is_file():
        message = f"The requirements file {path} does not exist."
        hint = "Set the step's `directory` to the clone's: {{ <id of the git_clone step>.directory }}."
        raise PullStepError(message, hint=hint)
    line = f"{path} will be installed with the project's environment"
    context.log.info(line)
    return {"stdout": line, "stderr": ""}, replace(checkout, requirements=(*checkout.requirements, path))
