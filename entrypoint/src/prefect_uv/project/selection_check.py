"""Whether a selection exists in the project: refused before anything is built, with what there is instead."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from prefect_uv.errors import SelectionInvalidError
from prefect_uv.project.files.pyproject import PYPROJECT, Pyproject
from prefect_uv.project.selection import Selection


def check_selection(selection: Selection, projects: Sequence[Pyproject], root: Pyproject) -> None:
    """Compare with what the projects define; uv 0.13.8 refuses the same, one at a time and in its options' words.

    A group of the workspace's root counts for every member; where the root is no project, all members are meant.

    Raises:
        SelectionInvalidError: a group or an extra does not exist, or the choices exclude each other.
    """
    if selection.only_groups and (selection.groups or selection.extras):
        raise SelectionInvalidError(
            f"{_settings(replace(selection, package=''))} exclude each other.",
            "PREFECT_UV_ONLY_GROUPS leaves the project's own dependencies and its extras out.",
            "Name all groups in PREFECT_UV_GROUPS, or all of them in PREFECT_UV_ONLY_GROUPS.",
        )
    every = list({one.directory: one for one in (*projects, root)}.values())
    groups = {group for one in every for group in one.groups}
    extras = {extra for one in projects for extra in one.extras}
    _check_names(Selection(groups=selection.groups), selection.groups, "dependency group", groups, every)
    _check_names(Selection(only_groups=selection.only_groups), selection.only_groups, "dependency group", groups, every)
    _check_names(Selection(extras=selection.extras), selection.extras, "extra", extras, projects)


def refuse_selection(selection: Selection, why: str, hint: str) -> None:
    """For what has no groups, extras and members.

    Raises:
        SelectionInvalidError: something is selected.
    """
    if selection != Selection():
        raise SelectionInvalidError(f"{_settings(selection)} cannot be selected: {why}.", hint=hint)


def _check_names(
    chosen: Selection, names: Iterable[str], kind: str, existing: set[str], documents: Sequence[Pyproject]
) -> None:
    if unknown := [name for name in names if name not in existing]:
        there = f"{kind if len(existing) == 1 else f'{kind}s'} {', '.join(sorted(existing))}".rstrip()
        files = " and ".join(str(document.directory / PYPROJECT) for document in documents)
        have = "has" if len(documents) == 1 else "have"
        raise SelectionInvalidError(
            f"{''.join(chosen.variables)} names {', '.join(unknown)}, which the project does not have.",
            f"{files} {have} {'the' if existing else 'no'} {there}.",
            f"Correct the job variable, or add the {kind} and lock again.",
        )


def _settings(selection: Selection) -> str:
    *most, last = [f"{name}={value}" for name, value in selection.variables.items()]
    return f"{', '.join(most)} and {last}" if most else last
