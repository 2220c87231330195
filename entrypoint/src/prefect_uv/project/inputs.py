"""The files that can change what is installed, with names that do not depend on where the checkout is."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from prefect_uv.project.pyproject import NAME, Pyproject
from prefect_uv.project.start import Start, upwards
from prefect_uv.project.workspace import root_of

METADATA = (NAME, "setup.py", "setup.cfg")
UV_TOML = "uv.toml"

Inputs = tuple[tuple[str, bytes], ...]


def read_all(root: Path, files: Iterable[Path | None], projects: Iterable[Path] = ()) -> Inputs:
    """Files, and those of projects that say what these depend on, as far as they are there."""
    every = [*filter(None, files), *(place / name for place in projects for name in METADATA)]
    found = dict.fromkeys(Path(os.path.normpath(file)) for file in every)
    return tuple((f"/{os.path.relpath(file, root)}", file.read_bytes()) for file in found if file.is_file())


def configuration(directory: Path, start: Start) -> Path | None:
    """The one file that uv reads its settings from, when it works in a directory.

    The nearest uv.toml or [tool.uv], from the workspace's root upwards (uv 0.13.8, its log at level DEBUG).
    """
    above = upwards(directory, start.working_directory)
    nearest = next(filter(None, map(Pyproject.read, above)), None)
    if nearest and (nearest.is_project or nearest.is_workspace):
        root = root_of(nearest, upwards(nearest.directory, start.working_directory)[1:])
        above = upwards(root.directory, start.working_directory)
    for place in above:
        if (place / UV_TOML).is_file():
            return place / UV_TOML
        if (document := Pyproject.read(place)) and document.uv:
            return place / NAME
    return None
