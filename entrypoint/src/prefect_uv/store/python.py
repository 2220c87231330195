"""The interpreter for a project: the image's where it fits, another one of the container, or one on the volume."""

from __future__ import annotations

from prefect_uv.errors import PythonMissingError
from prefect_uv.project import Project
from prefect_uv.runlog import RunLog
from prefect_uv.store.uv import Uv


def interpreter(uv: Uv, project: Project, _log: RunLog) -> str:
    """The interpreter for the project: the image's, unless .python-version asks for another one.

    Raises:
        PythonMissingError: when no interpreter in the image fits.
    """
    request = project.python_request
    if not request or (uv.image.python_version + ".").startswith(request + "."):
        return uv.image.python
    finished = uv.run("python", "find", "--no-project", request)
    if finished.exit_code:
        raise PythonMissingError(
            f"The image has no Python {request}, which .python-version asks for.",
            f"{finished.report}\n\nThe image's Python is {uv.image.python_version}.",
            "Use the image of the family that has it (py312, py313, …), or change .python-version.",
        )
    return finished.stdout.strip()
