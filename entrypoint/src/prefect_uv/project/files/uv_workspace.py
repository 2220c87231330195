"""uv's workspaces: the root that a project belongs to, and the members of a root."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from prefect_uv.errors import ProjectInvalidError
from prefect_uv.project.files.path_patterns import is_excluded, paths_matching
from prefect_uv.project.files.pyproject import PYPROJECT, Pyproject
from prefect_uv.project.files.toml_tables import table_at


def workspace_root(project: Pyproject, above: Iterable[Path]) -> Pyproject:
    """The root of the project's workspace, or the project itself if it is in none.

    Only the nearest pyproject.toml above is looked at, whether it is a workspace or not.
    uv 0.13.8: https://github.com/astral-sh/uv/blob/0.13.8/crates/uv-workspace/src/workspace.rs (`find_workspace`)

    Args:
        project: the project.
        above: the directories above it, the nearest first.
    """
    if project.is_workspace:
        return project
    nearest = next(filter(None, map(Pyproject.read, above)), None)
    return nearest if nearest and project.directory in _member_directories(nearest) else project


def workspace_members(root: Pyproject) -> dict[str, Pyproject]:
    """The projects of a workspace by name, including the root if it is a project.

    uv 0.13.8: https://docs.astral.sh/uv/concepts/projects/workspaces/#getting-started

    Raises:
        ProjectInvalidError: [tool.uv.workspace] or the pyproject.toml of a member cannot be read.
    """
    documents = [root, *filter(None, map(Pyproject.read, sorted(_member_directories(root))))]
    return {document.name: document for document in documents if document.is_project}


def _member_directories(root: Pyproject) -> set[Path]:
    found = (path for pattern in _patterns(root, "members") for path in paths_matching(root.directory, pattern))
    excluded = _patterns(root, "exclude")
    paths = {path.resolve() for path in found if (path / PYPROJECT).is_file()}
    return {path for path in paths if not is_excluded(path, root.directory.resolve(), excluded)}


def _patterns(root: Pyproject, key: str) -> list[str]:
    patterns = table_at(root.uv, "workspace").get(key, [])
    if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
        raise ProjectInvalidError(
            f"{root.directory / PYPROJECT} cannot be read.",
            f"[tool.uv.workspace] has {key} = {patterns!r}, which is not a list of strings.",
            "Fix it, commit, and push.",
        )
    return patterns
