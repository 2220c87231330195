"""uv's workspaces: which root a project belongs to, and which members a root has."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from prefect_uv.project.pyproject import NAME, Pyproject
from prefect_uv.project.toml import at


def root_of(project: Pyproject, above: Iterable[Path]) -> Pyproject:
    """The root of the project's workspace, else the project itself.

    As uv 0.13.8 does it: the nearest pyproject.toml above decides, whether it is a workspace with this member or not.
    """
    if project.is_workspace:
        return project
    nearest = next(filter(None, map(Pyproject.read, above)), None)
    return nearest if nearest and project.directory in _directories(nearest) else project


def members(root: Pyproject) -> dict[str, Pyproject]:
    """The projects of a workspace by name, its root's own included."""
    found = [root, *filter(None, map(Pyproject.read, sorted(_directories(root))))]
    return {one.name: one for one in found if one.is_project}


def _directories(root: Pyproject) -> set[Path]:
    table = at(root.uv, "workspace")
    return _matching(root, table.get("members", [])) - _matching(root, table.get("exclude", []))


def _matching(root: Pyproject, patterns: Iterable[str]) -> set[Path]:
    found = (place for pattern in patterns for place in root.directory.glob(pattern.rstrip("/")))
    return {place.resolve() for place in found if (place / NAME).is_file()}
