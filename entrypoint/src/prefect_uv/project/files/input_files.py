"""The files that can change what is installed, with names that do not depend on where the checkout is."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from prefect_uv.project.discovery.flow_location import FlowLocation, directories_upwards
from prefect_uv.project.files.pyproject import PYPROJECT, Pyproject
from prefect_uv.project.files.uv_workspace import workspace_root

METADATA = (PYPROJECT, "setup.py", "setup.cfg")
UV_TOML = "uv.toml"

InputFiles = tuple[tuple[str, bytes], ...]


def read_inputs(root: Path, files: Iterable[Path | None], projects: Iterable[Path] = ()) -> InputFiles:
    """Files, and those of projects that say what these depend on, as far as they are there."""
    every = [*filter(None, files), *(place / name for place in projects for name in METADATA)]
    found = dict.fromkeys(Path(os.path.normpath(file)) for file in every)
    return tuple((f"/{os.path.relpath(file, root)}", file.read_bytes()) for file in found if file.is_file())


def uv_configuration_file(directory: Path, location: FlowLocation) -> Path | None:
    """The one file that uv reads its settings from, when it works in a directory.

    The nearest uv.toml or [tool.uv], from the workspace's root upwards (uv 0.13.8, its log at level DEBUG).
    """
    above = directories_upwards(directory, location.working_directory)
    nearest = next(filter(None, map(Pyproject.read, above)), None)
    if nearest and (nearest.is_project or nearest.is_workspace):
        root = workspace_root(nearest, directories_upwards(nearest.directory, location.working_directory)[1:])
        above = directories_upwards(root.directory, location.working_directory)
    for place in above:
        if (place / UV_TOML).is_file():
            return place / UV_TOML
        if (document := Pyproject.read(place)) and document.uv:
            return place / PYPROJECT
    return None
