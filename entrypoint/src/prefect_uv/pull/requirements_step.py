"""The step `pip_install_requirements`: the file is noted, and installed once the project's environment is there.

Prefect 3.8.8 installs into the environment that will run the flow. Ours is shared and never changed, so that the flow
gets another one, which has these packages too (`Store.extended`).
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
        PullStepError: it does not exist.
    """
    path = (checkout.base / (directory or ".") / requirements_file).resolve()
    if not path.is_file():
        message = f"There is no requirements file {path}."
        raise PullStepError(
            message, hint="Give the step the `directory` of the clone: {{ <id of the clone>.directory }}."
        )
    told = f"{path} is installed with the project's environment"
    context.log.info(told)
    noted = replace(checkout, requirements=(*checkout.requirements, path))
    return {"stdout": told, "stderr": ""}, noted
