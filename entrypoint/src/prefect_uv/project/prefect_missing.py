"""The error for a selection without Prefect: where Prefect is instead, and what to set or to run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from prefect_uv.errors import PrefectMissingError
from prefect_uv.package_names import PREFECT, has_prefect
from prefect_uv.project.discovery.locked_project import lock_query
from prefect_uv.project.files.pyproject import Pyproject
from prefect_uv.project.files.text_files import read_text
from prefect_uv.project.files.uv_workspace import workspace_members
from prefect_uv.project.lockfile.lock_graph import LockGraph
from prefect_uv.project.lockfile.pylock_text import marker_of
from prefect_uv.project.model import LockedProject, Project, PylockProject, UnlockedProject
from prefect_uv.project.selection import Selection


def prefect_missing_error(project: Project, resolved: Iterable[str] = ()) -> PrefectMissingError:
    """Return the error for a project whose environment would have no Prefect.

    Args:
        project: the project, script or requirements files.
        resolved: the names of the packages that the requirements were resolved to; unused for a lock.
    """
    if isinstance(project, LockedProject):
        return _script_error(project.script, project.lock) if project.script else _project_error(project)
    if isinstance(project, PylockProject):
        return _pylock_error(project)
    if isinstance(project, UnlockedProject) and project.script:
        return _script_error(project.script.path, None)
    files = project.files if isinstance(project, UnlockedProject) else ()
    names = ", ".join(os.path.relpath(file, project.directory) for file in files)
    return PrefectMissingError(
        f"Prefect is not among the requirements {f'in {names}' if names else f'of {project.name}'}.",
        f"uv resolved them to {', '.join(sorted(resolved)) or 'no packages'}.",
        "Add `prefect`, commit, and push.",
    )


def _script_error(script: Path, lock: Path | None) -> PrefectMissingError:
    files = f"{script.name} and {lock.name}" if lock else script.name
    return PrefectMissingError(
        f"Prefect is not among the dependencies of {script.name}.",
        f"{lock or script} does not {'lock' if lock else 'name'} prefect or prefect-client for this platform.",
        f"Run `uv add --script {script.name} prefect`, commit {files}, and push.",
    )


def _pylock_error(project: PylockProject) -> PrefectMissingError:
    selected = f" ({project.selection})" if str(project.selection) else ""
    headline = f"Prefect is not among the packages of {project.lock.name} for this platform{selected}."
    marker = marker_of(read_text(project.lock), PREFECT)
    if marker is None:
        found = f"{project.lock} does not lock prefect or prefect-client."
        return PrefectMissingError(headline, found, "Add `prefect` to the dependencies, lock again, commit, and push.")
    return PrefectMissingError(
        headline,
        f"{project.lock} locks it with the marker `{marker}`.",
        "Set PREFECT_UV_GROUPS or PREFECT_UV_EXTRAS to the group or extra in the marker; or lock for this platform.",
    )


def _project_error(project: LockedProject) -> PrefectMissingError:
    selected = str(project.selection)
    dependencies = f"the selected dependencies ({selected})" if selected else "the project's locked dependencies"
    found, hint = next(_other_selections(project), ("", ""))
    return PrefectMissingError(
        f"Prefect is not among {dependencies}.",
        found or f"{project.lock} does not lock prefect or prefect-client for {project.name} on this platform.",
        hint or f"Run `uv add {_package_option(project)}prefect`, commit pyproject.toml and uv.lock, and push.",
    )


def _package_option(project: LockedProject) -> str:
    return f"--package {project.name} " if project.directory != project.root else ""


def _other_selections(project: LockedProject) -> Iterator[tuple[str, str]]:
    """Yield each other selection that has Prefect: where Prefect is, and which job variable to set."""
    root, own = Pyproject.read(project.root), Pyproject.read(project.directory)
    if root is None or own is None:
        return
    lock = LockGraph(project.lock.read_text())

    def brings_prefect(target: Pyproject, selection: Selection) -> bool:
        return has_prefect(lock.reached(lock_query(root, target, selection)))

    selected = project.selection
    if selected.only_groups and brings_prefect(own, replace(selected, only_groups=(), groups=selected.only_groups)):
        names = ",".join(selected.only_groups)
        hint = f"Set PREFECT_UV_GROUPS={names} instead of PREFECT_UV_ONLY_GROUPS={names}."
        yield f"{own.name} depends on it, but PREFECT_UV_ONLY_GROUPS leaves out the project's dependencies.", hint
    for group in sorted(own.groups | root.groups):
        if brings_prefect(own, larger := selected.with_group(group)):
            yield f"It is in the dependency group {group}.", f"Set {_assignment(larger, 'GROUPS')}."
    for extra in sorted(own.extras):
        if brings_prefect(own, larger := replace(selected, only_groups=(), extras=(*selected.extras, extra))):
            yield f"It is in the extra {extra}.", f"Set {_assignment(larger, 'EXTRAS')}."
    for name, member in workspace_members(root).items():
        if brings_prefect(member, Selection()):
            yield f"The workspace member {name} depends on it.", f"Set PREFECT_UV_PACKAGE={name}."


def _assignment(selection: Selection, suffix: str) -> str:
    """The job variable whose name ends with this, as `NAME=value`."""
    return next(f"{name}={value}" for name, value in selection.variables.items() if name.endswith(suffix))
