"""The errors for a project without a lockfile: what there is instead, and what to run or to set."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from prefect_uv.errors import LockfileMissingError, OtherToolError
from prefect_uv.project.discovery.candidates import Candidates, lockfile
from prefect_uv.project.discovery.flow_location import FlowLocation, directories_upwards
from prefect_uv.project.discovery.locked_project import LOCK
from prefect_uv.project.files.declared_dependencies import PIPENV, POETRY, Declaration
from prefect_uv.project.files.pyproject import PYPROJECT, Pyproject

EXPORTS = {
    "poetry.lock": "`poetry export --format pylock.toml --output pylock.toml`",
    "pdm.lock": "`pdm export --format pylock --output pylock.toml`",
    "Pipfile.lock": "`pipenv pylock --generate`",
}
"""How other tools make a pylock.toml of their own lockfiles.

Poetry 2.5 with poetry-plugin-export 1.10, pdm 2.29, Pipenv 2026.10:
https://github.com/python-poetry/poetry-plugin-export#available-options
https://pdm-project.org/latest/usage/lockfile/
https://pipenv.pypa.io/en/latest/pylock.html
"""
LOCKS = {POETRY: "poetry.lock", PIPENV: "Pipfile.lock"}


def lockfile_missing_error(found: Candidates) -> LockfileMissingError:
    """The error for a project without a lockfile, or for several pylock.NAME.toml without a project."""
    location = found.location
    names = [location.display_path(file) for file in found.pylocks]
    if found.pyproject is None:
        return LockfileMissingError(
            f"More than one lockfile in {found.pylocks[0].parent}: {', '.join(names)}.",
            "None of them has the name pylock.toml.",
            f"Name one, as in PREFECT_UV_PROJECT={names[0]}; or rename it, commit, and push.",
        )
    project, lock = found.pyproject, lockfile(location, found.pyproject)
    sentences = [f"{project.directory / PYPROJECT} is present, {lock} is not."]
    if other := _lockfile_above(location, project):
        sentences.append(f"{other} belongs to another project: {project.name} is not a member of its workspace.")
    others = [name for name in (*EXPORTS, "pixi.lock", "conda-lock.yml") if (project.directory / name).is_file()]
    sentences += [f"{name} is not used." for name in [*names, *others]]
    hints = [f"{_uv_lock(location, project.directory)}."]
    hints += [f"Or name a lockfile, as in PREFECT_UV_PROJECT={name}." for name in names[:1]]
    hints += [f"Or turn {name} into a pylock.toml with {EXPORTS[name]}." for name in others[:1] if name in EXPORTS]
    return LockfileMissingError(f"No uv.lock in {lock.parent}.", " ".join(sentences), " ".join(hints))


def other_tool_error(found: Candidates, declared: Declaration) -> OtherToolError:
    """The error for dependencies that only another tool reads."""
    lock, file = LOCKS[declared.reader], found.location.display_path(declared.file)
    note = f" {lock} is not used." if (declared.file.parent / lock).is_file() else ""
    return OtherToolError(
        f"{file} declares its dependencies for {declared.reader}, and there is no pylock.toml.",
        f"{declared.file} names {', '.join(sorted(declared.names))}; uv does not read them there.{note}",
        f"{_export(declared)}; or name requirements files in PREFECT_UV_REQUIREMENTS.",
    )


def incomplete_requirements_error(
    found: Candidates, declared: Declaration, requirements: Path, missing: Iterable[str]
) -> LockfileMissingError:
    """The error for a requirements.txt without some of the dependencies that the project next to it declares."""
    name, file = (found.location.display_path(path) for path in (requirements, declared.file))
    lacks = f"{name} lacks dependencies of {file}"
    details = f"{declared.file} also names {', '.join(sorted(missing))}."
    alone = f"or set PREFECT_UV_REQUIREMENTS={name} to install only that file."
    if declared.reader:
        headline = f"{lacks}, which only {declared.reader} reads."
        return OtherToolError(headline, details, f"{_export(declared)}; {alone}")
    hint = f"{_uv_lock(found.location, declared.file.parent)}; {alone}"
    return LockfileMissingError(f"No uv.lock in {declared.file.parent}, and {lacks}.", details, hint)


def _export(declared: Declaration) -> str:
    export = EXPORTS[LOCKS[declared.reader]]
    return f"Run {export}, commit pylock.toml, and push; or move the project to uv (`uvx migrate-to-uv`)"


def _uv_lock(location: FlowLocation, directory: Path) -> str:
    option = "" if directory == location.working_directory else f" --project {location.display_path(directory)}"
    return f"Run `uv lock{option}`, commit uv.lock, and push"


def _lockfile_above(location: FlowLocation, project: Pyproject) -> Path | None:
    above = directories_upwards(project.directory, location.working_directory)[1:]
    return next((directory / LOCK for directory in above if (directory / LOCK).is_file()), None)
