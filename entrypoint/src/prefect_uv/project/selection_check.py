"""Check a selection before anything is built; the errors list what the project defines instead."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from prefect_uv.errors import SelectionInvalidError
from prefect_uv.project.files.pyproject import PYPROJECT, Pyproject
from prefect_uv.project.lockfile.pylock_text import PylockText
from prefect_uv.project.selection import Selection

LOCK_PROJECT = "add the {} and run `uv lock`"
LOCK_AGAIN = "lock again with the {}"


def check_selection(selection: Selection, projects: Sequence[Pyproject], root: Pyproject) -> None:
    """Check that the groups and extras exist. uv refuses the same selections, but reports one name at a time.

    uv 0.13.8: https://github.com/astral-sh/uv/blob/0.13.8/crates/uv/src/commands/project/mod.rs (`ProjectError`)

    Args:
        selection: groups and extras.
        projects: the selected project, or all members if the workspace root is not a project.
        root: the workspace root, whose groups every member can use.

    Raises:
        SelectionInvalidError: a group or an extra does not exist, or the settings cannot be combined.
    """
    _check_combination(selection)
    with_root = list({project.directory: project for project in (*projects, root)}.values())
    groups = {group for project in with_root for group in project.groups}
    extras = {extra for project in projects for extra in project.extras}
    defining = [document.directory / PYPROJECT for document in with_root]
    _check_names(selection, "groups", groups, defining, LOCK_PROJECT)
    _check_names(selection, "only_groups", groups, defining, LOCK_PROJECT)
    _check_names(selection, "extras", extras, defining[: len(projects)], LOCK_PROJECT)


def check_pylock_selection(selection: Selection, lock: PylockText) -> None:
    """Check that a pylock.toml has the groups and extras; uv 0.13.8 installs nothing for a name that it lacks.

    Raises:
        SelectionInvalidError: a group or an extra does not exist, the settings cannot be combined, or a package is
            selected.
    """
    _check_combination(selection)
    require_no_selection(
        Selection(package=selection.package),
        f"{lock.file.name} has no workspace members",
        "Unset the job variable, or name the member's own lockfile in PREFECT_UV_PROJECT.",
    )
    _check_names(selection, "groups", lock.groups, [lock.file], LOCK_AGAIN)
    _check_names(selection, "only_groups", lock.groups, [lock.file], LOCK_AGAIN)
    _check_names(selection, "extras", lock.extras, [lock.file], LOCK_AGAIN)


def require_no_selection(selection: Selection, reason: str, hint: str) -> None:
    """Refuse any selection from something that has no groups, extras and members.

    Raises:
        SelectionInvalidError: something is selected.
    """
    if selection != Selection():
        raise SelectionInvalidError(f"{_assignments(selection)} cannot be used: {reason}.", hint=hint)


def _check_combination(selection: Selection) -> None:
    if selection.only_groups and (selection.groups or selection.extras):
        raise SelectionInvalidError(
            f"{_assignments(replace(selection, package=''))} cannot be combined.",
            "PREFECT_UV_ONLY_GROUPS leaves out the project's own dependencies and its extras.",
            "Set PREFECT_UV_ONLY_GROUPS alone, or move its groups to PREFECT_UV_GROUPS.",
        )


def _check_names(
    selection: Selection, field: str, defined: Collection[str], files: Sequence[Path], advice: str
) -> None:
    if unknown := [name for name in getattr(selection, field) if name not in defined]:
        kind = "extra" if field == "extras" else "dependency group"
        choices = f"{kind if len(defined) == 1 else f'{kind}s'} {', '.join(sorted(defined))}".rstrip()
        verb = "defines" if len(files) == 1 else "define"
        raise SelectionInvalidError(
            f"PREFECT_UV_{field.upper()} names {', '.join(unknown)}, which the project does not define.",
            f"{' and '.join(map(str, files))} {verb} {'the' if defined else 'no'} {choices}.",
            f"Correct the job variable, or {advice.format(kind)}.",
        )


def _assignments(selection: Selection) -> str:
    *most, last = [f"{variable}={value}" for variable, value in selection.variables.items()]
    return f"{', '.join(most)} and {last}" if most else last
