"""The look: which project the flow belongs to, by the files of the pulled code.

A script comes first, then what has a lock, then requirements files, then nothing at all; see docs/adr/0013.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from prefect_uv.errors import LockfileMissingError, ProjectInvalidError, ProjectMissingError, SelectionInvalidError
from prefect_uv.project import foreign, pythons, selecting
from prefect_uv.project.kinds import Project
from prefect_uv.project.locked import LOCK, locked_project, locked_script
from prefect_uv.project.pyproject import NAME, Pyproject
from prefect_uv.project.requirements import NAME as REQUIREMENTS
from prefect_uv.project.requirements import expanded
from prefect_uv.project.script import Script
from prefect_uv.project.start import Start, upwards
from prefect_uv.project.unlocked import NO_PROJECT, nothing, requirements_files, script_alone
from prefect_uv.project.workspace import root_of
from prefect_uv.runlog import RunLog
from prefect_uv.selection import Selection
from prefect_uv.settings import Settings


def look(working_directory: Path, entrypoint: str | None, settings: Settings) -> Project:
    """Find the project of a flow.

    Args:
        working_directory: where the pull steps have led to.
        entrypoint: the deployment's entrypoint, `path/to/file.py:function` or `module.path:function`.
        settings: the deployment's choices.

    Raises:
        PrefectUvError: it is not there, not as it is selected, or cannot be read; nothing was built yet.
    """
    try:
        return _look(working_directory, entrypoint, settings)
    except OSError as error:
        hint = "Mend it, commit, and push; or correct the job variable that names it."
        raise ProjectInvalidError(f"{error.filename} cannot be read.", f"{error.strerror}.", hint) from None


def _look(working_directory: Path, entrypoint: str | None, settings: Settings) -> Project:
    start = Start.of(working_directory, entrypoint, settings.source_root)
    if settings.requirements:
        project = _requirements(start, settings)
    elif settings.project:
        project = _chosen(start, settings)
    elif script := Script.read(start.flow_file):
        project = _script(start, script, settings)
    else:
        project = _found(start, start.climb, settings)
    pins = () if project.shape == NO_PROJECT else upwards(project.directory, start.working_directory)
    request, origin = pythons.request(pins, settings)
    return replace(project, places=start.climb, python_request=request, python_origin=origin)


def tell(log: RunLog, project: Project) -> Project:
    """What was found, in one line; what is there and not used although nothing else is, in another."""
    log.info(f"look: {project.line}")
    if project.warning:
        log.warning(project.warning)
    return project


def _requirements(start: Start, settings: Settings) -> Project:
    """The files of PREFECT_UV_REQUIREMENTS."""
    if settings.project:
        raise SelectionInvalidError(
            "PREFECT_UV_REQUIREMENTS and PREFECT_UV_PROJECT exclude each other.",
            "Requirements files are installed instead of a project.",
            "Name the files from the pulled directory in PREFECT_UV_REQUIREMENTS alone.",
        )
    files = expanded(start.working_directory, settings.requirements, "PREFECT_UV_REQUIREMENTS")
    project = requirements_files(start, start.working_directory, files, settings)
    return replace(project, line=f"{project.shape} {project.line}, by PREFECT_UV_REQUIREMENTS")


def _chosen(start: Start, settings: Settings) -> Project:
    """What PREFECT_UV_PROJECT names: a directory or a script."""
    place = (start.working_directory / settings.project).resolve()
    if script := Script.read(place if place.is_file() else None):
        project = _script(start, script, settings)
    else:
        if not _nearest([place]) and not (place / REQUIREMENTS).is_file():
            raise ProjectMissingError(
                f"PREFECT_UV_PROJECT names {settings.project}, and there is no project.",
                foreign.described(place),
                "Correct the job variable: it is a directory with pyproject.toml or requirements.txt, or a script with"
                " a block `# /// script`, relative to the pulled directory.",
            )
        project = _found(start, (place,), settings)
    return replace(project, line=f"{project.line}, by PREFECT_UV_PROJECT")


def _script(start: Start, script: Script, settings: Settings) -> Project:
    selecting.refuse_any(
        Selection.of(settings),
        f"{start.shown(script.path)} is a script with its own requirements",
        "Take it out of the job variables, or set PREFECT_UV_PROJECT=. to use the project instead.",
    )
    if script.lock.is_file() or settings.lock == "relock":
        return locked_script(start, script, settings)
    return script_alone(start, script, settings)


def _found(start: Start, places: Sequence[Path], settings: Settings) -> Project:
    """The nearest project with a lock, else the nearest requirements.txt, else nothing."""
    project = _nearest(places)
    requirements = next((place / REQUIREMENTS for place in places if (place / REQUIREMENTS).is_file()), None)
    if project and (settings.lock == "relock" or _lock_of(start, project).is_file()):
        locked = locked_project(start, project, settings)
        unused = f"; {start.shown(requirements)} is not used" if requirements else ""
        return replace(locked, line=f"{locked.line}{unused}")
    if requirements and (not project or requirements.is_relative_to(project.directory)):
        unlocked = requirements_files(start, requirements.parent, [requirements], settings)
        why = f", since {start.shown(project.directory / NAME)} has no uv.lock" if project else ""
        return replace(unlocked, line=f"{unlocked.shape} {unlocked.line}{why}")
    if project:
        raise _lockfile_missing(start, project)
    found = nothing(start, settings)
    return replace(found, line=f"{found.line}{foreign.unread(start, places)}", warning=foreign.warning(start, places))


def _nearest(places: Sequence[Path]) -> Pyproject | None:
    """The nearest project, or the nearest workspace when no project is there: tool settings alone make none."""
    documents = [*filter(None, map(Pyproject.read, places))]
    named = [document for document in documents if document.is_project]
    return next(iter([*named, *(document for document in documents if document.is_workspace)]), None)


def _lock_of(start: Start, project: Pyproject) -> Path:
    above = upwards(project.directory, start.working_directory)[1:]
    return root_of(project, above).directory / LOCK


def _lockfile_missing(start: Start, project: Pyproject) -> LockfileMissingError:
    lock = _lock_of(start, project)
    where = "" if project.directory == start.working_directory else f" --project {start.shown(project.directory)}"
    told = [f"{project.directory / NAME} is present, {lock} is not."]
    if other := _other_lock(start, project):
        told.append(f"{other} is another project's: {project.name} is no member of its workspace.")
    told += foreign.locks(project.directory)
    return LockfileMissingError(
        f"No uv.lock in {lock.parent}.", " ".join(told), f"Run `uv lock{where}`, commit uv.lock, and push."
    )


def _other_lock(start: Start, project: Pyproject) -> Path | None:
    above = upwards(project.directory, start.working_directory)[1:]
    return next((place / LOCK for place in above if (place / LOCK).is_file()), None)
