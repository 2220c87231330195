"""Check a selection before anything is built; the errors list what the project defines instead."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from prefect_uv.errors import SelectionInvalidError
from prefect_uv.project.files.pyproject import PYPROJECT, Pyproject
from prefect_uv.project.selection import Selection


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
    if selection.only_groups and (selection.groups or selection.extras):
        raise SelectionInvalidError(
            f"{_assignments(replace(selection, package=''))} cannot be combined.",
            "PREFECT_UV_ONLY_GROUPS leaves out the project's own dependencies and its extras.",
            "Set PREFECT_UV_ONLY_GROUPS alone, or move its groups to PREFECT_UV_GROUPS.",
        )
    with_root = list({project.directory: project for project in (*projects, root)}.values())
    groups = {group for project in with_root for group in project.groups}
    extras = {extra for project in projects for extra in project.extras}
    _check_names("PREFECT_UV_GROUPS", selection.groups, "dependency group", groups, with_root)
    _check_names("PREFECT_UV_ONLY_GROUPS", selection.only_groups, "dependency group", groups, with_root)
    _check_names("PREFECT_UV_EXTRAS", selection.extras, "extra", extras, projects)


def require_no_selection(selection: Selection, reason: str, hint: str) -> None:
    """Refuse any selection from something that has no groups, extras and members.

    Raises:
        SelectionInvalidError: something is selected.
    """
    if selection != Selection():
        raise SelectionInvalidError(f"{_assignments(selection)} cannot be used: {reason}.", hint=hint)


def _check_names(
    variable: str, names: Iterable[str], kind: str, defined: set[str], documents: Sequence[Pyproject]
) -> None:
    if unknown := [name for name in names if name not in defined]:
        choices = f"{kind if len(defined) == 1 else f'{kind}s'} {', '.join(sorted(defined))}".rstrip()
        files = " and ".join(str(document.directory / PYPROJECT) for document in documents)
        verb = "defines" if len(documents) == 1 else "define"
        raise SelectionInvalidError(
            f"{variable} names {', '.join(unknown)}, which the project does not define.",
            f"{files} {verb} {'the' if defined else 'no'} {choices}.",
            f"Correct the job variable, or add the {kind} and run `uv lock`.",
        )


def _assignments(selection: Selection) -> str:
    *most, last = [f"{variable}={value}" for variable, value in selection.variables.items()]
    return f"{', '.join(most)} and {last}" if most else last
