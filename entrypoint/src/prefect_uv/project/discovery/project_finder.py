"""The look: which project the flow belongs to, by the files of the pulled code.

A script comes first, then what has a lock, then requirements files, then nothing at all; see docs/adr/0013.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from prefect_uv.errors import LockfileMissingError, ProjectInvalidError, ProjectMissingError, SelectionInvalidError
from prefect_uv.log.run_log import RunLog
from prefect_uv.project import selection_check
from prefect_uv.project.discovery import other_tools, python_request
from prefect_uv.project.discovery.flow_location import FlowLocation, directories_upwards
from prefect_uv.project.discovery.locked_project import LOCK, locked_project, locked_script
from prefect_uv.project.discovery.unlocked_project import NO_PROJECT, no_project, requirements_project, unlocked_script
from prefect_uv.project.files.inline_script import Script
from prefect_uv.project.files.pyproject import PYPROJECT, Pyproject
from prefect_uv.project.files.requirements_files import REQUIREMENTS_TXT as REQUIREMENTS
from prefect_uv.project.files.requirements_files import expand_patterns
from prefect_uv.project.files.uv_workspace import workspace_root
from prefect_uv.project.model import Project
from prefect_uv.project.selection import Selection
from prefect_uv.settings import Settings


def find_project(working_directory: Path, entrypoint: str | None, settings: Settings) -> Project:
    """Find the project of a flow.

    Args:
        working_directory: where the pull steps have led to.
        entrypoint: the deployment's entrypoint, `path/to/file.py:function` or `module.path:function`.
        settings: the deployment's choices.

    Raises:
        PrefectUvError: it is not there, not as it is selected, or cannot be read; nothing was built yet.
    """
    try:
        return _find(working_directory, entrypoint, settings)
    except OSError as error:
        hint = "Mend it, commit, and push; or correct the job variable that names it."
        raise ProjectInvalidError(f"{error.filename} cannot be read.", f"{error.strerror}.", hint) from None


def _find(working_directory: Path, entrypoint: str | None, settings: Settings) -> Project:
    location = FlowLocation.of(working_directory, entrypoint, settings.source_root)
    if settings.requirements:
        project = _requirements(location, settings)
    elif settings.project:
        project = _chosen(location, settings)
    elif script := Script.read(location.flow_file):
        project = _script(location, script, settings)
    else:
        project = _found(location, location.directories_above, settings)
    pins = () if project.shape == NO_PROJECT else directories_upwards(project.directory, location.working_directory)
    request, origin = python_request.requested_python(pins, settings)
    return replace(project, places=location.directories_above, python_request=request, python_origin=origin)


def log_project(log: RunLog, project: Project) -> Project:
    """What was found, in one line; what is there and not used although nothing else is, in another."""
    log.info(f"look: {project.line}")
    if project.warning:
        log.warning(project.warning)
    return project


def _requirements(location: FlowLocation, settings: Settings) -> Project:
    """The files of PREFECT_UV_REQUIREMENTS."""
    if settings.project:
        raise SelectionInvalidError(
            "PREFECT_UV_REQUIREMENTS and PREFECT_UV_PROJECT exclude each other.",
            "Requirements files are installed instead of a project.",
            "Name the files from the pulled directory in PREFECT_UV_REQUIREMENTS alone.",
        )
    files = expand_patterns(location.working_directory, settings.requirements, "PREFECT_UV_REQUIREMENTS")
    project = requirements_project(location, location.working_directory, files, settings)
    return replace(project, line=f"{project.shape} {project.line}, by PREFECT_UV_REQUIREMENTS")


def _chosen(location: FlowLocation, settings: Settings) -> Project:
    """What PREFECT_UV_PROJECT names: a directory or a script."""
    place = (location.working_directory / settings.project).resolve()
    if script := Script.read(place if place.is_file() else None):
        project = _script(location, script, settings)
    else:
        if not _nearest([place]) and not (place / REQUIREMENTS).is_file():
            raise ProjectMissingError(
                f"PREFECT_UV_PROJECT names {settings.project}, and there is no project.",
                other_tools.describe_path(place),
                "Correct the job variable: it is a directory with pyproject.toml or requirements.txt, or a script with"
                " a block `# /// script`, relative to the pulled directory.",
            )
        project = _found(location, (place,), settings)
    return replace(project, line=f"{project.line}, by PREFECT_UV_PROJECT")


def _script(location: FlowLocation, script: Script, settings: Settings) -> Project:
    selection_check.refuse_selection(
        Selection.of(settings),
        f"{location.shown(script.path)} is a script with its own requirements",
        "Take it out of the job variables, or set PREFECT_UV_PROJECT=. to use the project instead.",
    )
    if script.lock.is_file() or settings.lock == "relock":
        return locked_script(location, script, settings)
    return unlocked_script(location, script, settings)


def _found(location: FlowLocation, places: Sequence[Path], settings: Settings) -> Project:
    """The nearest project with a lock, else the nearest requirements.txt, else nothing."""
    project = _nearest(places)
    requirements = next((place / REQUIREMENTS for place in places if (place / REQUIREMENTS).is_file()), None)
    if project and (settings.lock == "relock" or _lock_of(location, project).is_file()):
        locked = locked_project(location, project, settings)
        unused = f"; {location.shown(requirements)} is not used" if requirements else ""
        return replace(locked, line=f"{locked.line}{unused}")
    if requirements and (not project or requirements.is_relative_to(project.directory)):
        unlocked = requirements_project(location, requirements.parent, [requirements], settings)
        why = f", since {location.shown(project.directory / PYPROJECT)} has no uv.lock" if project else ""
        return replace(unlocked, line=f"{unlocked.shape} {unlocked.line}{why}")
    if project:
        raise _lockfile_missing(location, project)
    found = no_project(location, settings)
    return replace(
        found,
        line=f"{found.line}{other_tools.unread_pyproject_note(location, places)}",
        warning=other_tools.other_tools_warning(location, places),
    )


def _nearest(places: Sequence[Path]) -> Pyproject | None:
    """The nearest project, or the nearest workspace when no project is there: tool settings alone make none."""
    documents = [*filter(None, map(Pyproject.read, places))]
    named = [document for document in documents if document.is_project]
    return next(iter([*named, *(document for document in documents if document.is_workspace)]), None)


def _lock_of(location: FlowLocation, project: Pyproject) -> Path:
    above = directories_upwards(project.directory, location.working_directory)[1:]
    return workspace_root(project, above).directory / LOCK


def _lockfile_missing(location: FlowLocation, project: Pyproject) -> LockfileMissingError:
    lock = _lock_of(location, project)
    where = "" if project.directory == location.working_directory else f" --project {location.shown(project.directory)}"
    told = [f"{project.directory / PYPROJECT} is present, {lock} is not."]
    if other := _other_lock(location, project):
        told.append(f"{other} is another project's: {project.name} is no member of its workspace.")
    told += other_tools.other_lockfile_notes(project.directory)
    return LockfileMissingError(
        f"No uv.lock in {lock.parent}.", " ".join(told), f"Run `uv lock{where}`, commit uv.lock, and push."
    )


def _other_lock(location: FlowLocation, project: Pyproject) -> Path | None:
    above = directories_upwards(project.directory, location.working_directory)[1:]
    return next((place / LOCK for place in above if (place / LOCK).is_file()), None)
