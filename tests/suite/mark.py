"""The mark of one test run: its folder, named in an environment variable and in Docker's labels.

Processes inherit the variable, containers and volumes have the label, and files that the run's processes share are in
the folder. So everything can be found at the end, even if the process that started it was killed.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

VARIABLE = "SUITE_FOLDER"
LABEL = "prefect-uv.suite"
PREFIX = "prefect-uv-suite-"
DOCKER = "docker"
PODMAN = "podman"
"""The folder of a podman of the run's own; a short name, because podman refuses paths of more than 50 characters."""


def begin() -> Path:
    """Create the folder of a new run, and mark the children of this process with it."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    os.environ[VARIABLE] = str(folder)
    return folder


def folder() -> Path | None:
    """The folder of the run that this process belongs to; None if it is not part of a test run."""
    name = os.environ.get(VARIABLE)
    return Path(name) if name else None


def required() -> Path:
    """The folder of the run; RuntimeError if this process is not part of a test run."""
    current = folder()
    if current is None:
        raise RuntimeError(f"{VARIABLE} is not set: this process is not part of a test run")
    return current


def labels() -> dict[str, str]:
    """The labels for what this run creates in Docker; a call also records that there is something to remove there."""
    current = folder()
    if current is None:
        return {}
    (current / DOCKER).touch()
    return {LABEL: current.name}
