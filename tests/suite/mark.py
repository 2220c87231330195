"""The mark of one run of the tests: its folder, named in an environment variable and in Docker's labels.

Processes inherit the variable, containers and volumes carry the label, and what several processes of the run share
is in the folder. So all of it can be found at the end, whatever became of the process that started it.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

VARIABLE = "SUITE_FOLDER"
LABEL = "prefect-uv.suite"
PREFIX = "prefect-uv-suite-"
DOCKER = "docker"


def begin() -> Path:
    """Make the folder of a new run, and mark this process's children with it."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    os.environ[VARIABLE] = str(folder)
    return folder


def folder() -> Path | None:
    """The folder of the run that this process belongs to; None outside of the tests."""
    name = os.environ.get(VARIABLE)
    return Path(name) if name else None


def required() -> Path:
    """The folder of the run; RuntimeError outside of the tests."""
    found = folder()
    if found is None:
        raise RuntimeError(f"{VARIABLE} is not set: this is no run of the tests")
    return found


def labels() -> dict[str, str]:
    """The labels of what this run makes in Docker; asking for them notes that there is something to look for."""
    current = folder()
    if current is None:
        return {}
    (current / DOCKER).touch()
    return {LABEL: current.name}
