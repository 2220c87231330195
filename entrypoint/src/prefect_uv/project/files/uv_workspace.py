"""uv's workspaces: which root a project belongs to, and which members a root has."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from prefect_uv.errors import ProjectInvalidError
from prefect_uv.project.files.path_patterns import paths_matching
from prefect_uv.project.files.pyproject import PYPROJECT, Pyproject
from prefect_uv.project.files.toml_tables import table_at


def workspace_root(project: Pyproject, above: Iterable[Path]) -> Pyproject:
    """The root of the project's workspace, else the project itself.

    As uv 0.13.8 does it: the nearest pyproject.toml above decides, whether it is a workspace with this member or not.
    """
    if project.is_workspace:
        return project
    nearest = next(filter(None, map(Pyproject.read, above)), None)
    return nearest if nearest and project.directory in _member_directories(nearest) else project


def workspace_members(root: Pyproject) -> dict[str, Pyproject]:
    """The projects of a workspace by name, its root's own included.

    Raises:
        ProjectInvalidError: the workspace's table, or a member's file, cannot be read.
    """
    found = [root, *filter(None, map(Pyproject.read, sorted(_member_directories(root))))]
    return {one.name: one for one in found if one.is_project}


def _member_directories(root: Pyproject) -> set[Path]:
    return _matching(root, "members") - _matching(root, "exclude")


def _matching(root: Pyproject, key: str) -> set[Path]:
    patterns = table_at(root.uv, "workspace").get(key, [])
    if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
        raise ProjectInvalidError(
            f"{root.directory / PYPROJECT} cannot be read.",
            f"[tool.uv.workspace] has {key} = {patterns!r}, which is not a list of texts.",
            "Mend it, commit, and push.",
        )
    found = (place for pattern in patterns for place in paths_matching(root.directory, pattern))
    return {place.resolve() for place in found if (place / PYPROJECT).is_file()}
