"""Which file uv reads its settings from."""

from __future__ import annotations

from pathlib import Path

from prefect_uv.project.discovery.flow_location import FlowLocation, directories_upwards
from prefect_uv.project.files.pyproject import PYPROJECT, Pyproject
from prefect_uv.project.files.uv_workspace import workspace_root

UV_TOML = "uv.toml"


def uv_configuration_file(directory: Path, location: FlowLocation) -> Path | None:
    """The file that uv reads its settings from if it works in a directory, or None.

    It is the nearest uv.toml or pyproject.toml with [tool.uv], from the workspace root upwards.
    uv 0.13.8: https://docs.astral.sh/uv/concepts/configuration-files/
    """
    above = directories_upwards(directory, location.working_directory)
    nearest = next(filter(None, map(Pyproject.read, above)), None)
    if nearest and (nearest.is_project or nearest.is_workspace):
        root = workspace_root(nearest, directories_upwards(nearest.directory, location.working_directory)[1:])
        above = directories_upwards(root.directory, location.working_directory)
    for candidate in above:
        if (candidate / UV_TOML).is_file():
            return candidate / UV_TOML
        if (document := Pyproject.read(candidate)) and document.uv:
            return candidate / PYPROJECT
    return None
