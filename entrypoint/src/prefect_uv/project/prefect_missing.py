"""Prefect is not in the selection: where it is instead, and what to set or to run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from prefect_uv.errors import PrefectMissingError
from prefect_uv.package_names import has_prefect
from prefect_uv.project.discovery.locked_project import lock_query
from prefect_uv.project.files.pyproject import Pyproject
from prefect_uv.project.files.uv_workspace import workspace_members
from prefect_uv.project.lockfile.lock_graph import LockGraph
from prefect_uv.project.model import LockedProject, Project, UnlockedProject
from prefect_uv.project.selection import Selection


def prefect_missing_error(project: Project, resolved: Iterable[str] = ()) -> PrefectMissingError:
    """The error for what selects no Prefect: of a lock, or of requirements that were resolved to these packages."""
    if isinstance(project, LockedProject):
        return _of_script(project.script, project.lock) if project.script else _of_project(project)
    if isinstance(project, UnlockedProject) and project.script:
        return _of_script(project.script.path, None)
    return PrefectMissingError(
        f"Prefect is not among the requirements of {project.name}.",
        f"uv resolved them to {', '.join(sorted(resolved)) or 'no package'}.",
        "Add `prefect` to them, commit and push.",
    )


def _of_script(script: Path, lock: Path | None) -> PrefectMissingError:
    files = f"{script.name} and {lock.name}" if lock else script.name
    return PrefectMissingError(
        f"Prefect is not among the dependencies of {script.name}.",
        f"{lock or script} does not {'lock' if lock else 'name'} prefect or prefect-client for this platform.",
        f"Run `uv add --script {script.name} prefect`, commit {files}, and push.",
    )


def _of_project(project: LockedProject) -> PrefectMissingError:
    selected = str(project.selection)
    what = f"the selected dependencies ({selected})" if selected else "the project's locked dependencies"
    found, hint = next(_remedies(project), ("", ""))
    return PrefectMissingError(
        f"Prefect is not among {what}.",
        found or f"{project.lock} does not lock prefect or prefect-client for {project.name} on this platform.",
        hint or f"Run `uv add {_option(project)}prefect`, commit pyproject.toml and uv.lock, and push.",
    )


def _option(project: LockedProject) -> str:
    return f"--package {project.name} " if project.directory != project.root else ""


def _remedies(project: LockedProject) -> Iterator[tuple[str, str]]:
    """Each other selection that has Prefect: what was found, and the job variable to set."""
    root, own = Pyproject.read(project.root), Pyproject.read(project.directory)
    if root is None or own is None:
        return
    lock = LockGraph(project.lock.read_text())

    def brings_prefect(target: Pyproject, selection: Selection) -> bool:
        return has_prefect(lock.reached(lock_query(root, target, selection)))

    chosen = project.selection
    if chosen.only_groups and brings_prefect(own, replace(chosen, only_groups=(), groups=chosen.only_groups)):
        names = ",".join(chosen.only_groups)
        instead = f"Set PREFECT_UV_GROUPS={names} instead of PREFECT_UV_ONLY_GROUPS={names}."
        yield f"{own.name} depends on it, and PREFECT_UV_ONLY_GROUPS leaves the project's dependencies out.", instead
    for group in sorted(own.groups | root.groups):
        if brings_prefect(own, more := chosen.with_group(group)):
            yield f"It is in the dependency group {group}.", f"Set {_setting(more, 'GROUPS')}."
    for extra in sorted(own.extras):
        if brings_prefect(own, more := replace(chosen, only_groups=(), extras=(*chosen.extras, extra))):
            yield f"It is in the extra {extra}.", f"Set {_setting(more, 'EXTRAS')}."
    for name, member in workspace_members(root).items():
        if brings_prefect(member, Selection()):
            yield f"The workspace member {name} depends on it.", f"Set PREFECT_UV_PACKAGE={name}."


def _setting(selection: Selection, word: str) -> str:
    """The one variable to change."""
    return next(f"{name}={value}" for name, value in selection.variables.items() if name.endswith(word))
