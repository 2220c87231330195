"""The errors for a project without a lockfile: what there is instead, and what to run or to set."""

from __future__ import annotations

from pathlib import Path

from prefect_uv.errors import LockfileMissingError
from prefect_uv.project.discovery.candidates import Candidates, lockfile
from prefect_uv.project.discovery.flow_location import FlowLocation, directories_upwards
from prefect_uv.project.discovery.locked_project import LOCK
from prefect_uv.project.files.pyproject import PYPROJECT, Pyproject

EXPORTS = {
    "poetry.lock": "`poetry export --format pylock.toml --output pylock.toml`",
    "pdm.lock": "`pdm export --format pylock --output pylock.toml`",
    "Pipfile.lock": "`pipenv pylock --generate`",
}
"""How other tools make a pylock.toml of their own lockfiles.

Poetry 2.5 with poetry-plugin-export 1.10, pdm 2.29, Pipenv 2026.10: https://github.com/python-poetry/poetry-plugin-export#available-options,
https://pdm-project.org/latest/usage/lockfile/, https://pipenv.pypa.io/en/latest/pylock.html
"""


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
    option = (
        "" if project.directory == location.working_directory else f" --project {_directory_name(location, project)}"
    )
    hints = [f"Run `uv lock{option}`, commit uv.lock, and push."]
    hints += [f"Or name a lockfile, as in PREFECT_UV_PROJECT={name}." for name in names[:1]]
    hints += [f"Or turn {name} into a pylock.toml with {EXPORTS[name]}." for name in others[:1] if name in EXPORTS]
    return LockfileMissingError(f"No uv.lock in {lock.parent}.", " ".join(sentences), " ".join(hints))


def _directory_name(location: FlowLocation, project: Pyproject) -> str:
    return location.display_path(project.directory)


def _lockfile_above(location: FlowLocation, project: Pyproject) -> Path | None:
    above = directories_upwards(project.directory, location.working_directory)[1:]
    return next((directory / LOCK for directory in above if (directory / LOCK).is_file()), None)
