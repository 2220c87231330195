"""Find the project that the flow belongs to, by the files of the pulled code.

PREFECT_UV_REQUIREMENTS and PREFECT_UV_PROJECT come first; then the flow's file, if it is a script; then the nearest
lockfile, a uv.lock before a pylock.toml in the same project; then requirements files; then no project at all. A project
without a lockfile is an error, for uv or for another tool, unless a requirements.txt has its dependencies (ADR 13).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from prefect_uv.errors import ProjectInvalidError, ProjectMissingError, SelectionInvalidError
from prefect_uv.log.run_log import RunLog
from prefect_uv.package_names import PREFECT
from prefect_uv.project import selection_check
from prefect_uv.project.discovery import other_tools, python_request
from prefect_uv.project.discovery.candidates import Candidates, nearest_pyproject
from prefect_uv.project.discovery.flow_location import FlowLocation, directories_upwards
from prefect_uv.project.discovery.locked_project import locked_project, locked_script
from prefect_uv.project.discovery.missing_lock import (
    incomplete_requirements_error,
    lockfile_missing_error,
    other_tool_error,
)
from prefect_uv.project.discovery.pylock_project import pylock_files, pylock_project
from prefect_uv.project.discovery.unlocked_project import NO_PROJECT, no_project, requirements_project, unlocked_script
from prefect_uv.project.files.declared_dependencies import Declaration
from prefect_uv.project.files.inline_script import Script
from prefect_uv.project.files.requirements_files import REQUIREMENTS_TXT, expand_patterns
from prefect_uv.project.lockfile.pylock_text import PYLOCK_NAME
from prefect_uv.project.model import Project
from prefect_uv.project.selection import Selection
from prefect_uv.settings import Settings


def find_project(working_directory: Path, entrypoint: str | None, settings: Settings) -> Project:
    """Find the project of a flow.

    Args:
        working_directory: the working directory after the pull steps.
        entrypoint: the deployment's entrypoint, `path/to/file.py:function` or `module.path:function`.
        settings: the deployment's settings.

    Raises:
        PrefectUvError: the project does not exist, does not define what is selected, or cannot be read.
    """
    try:
        return _locate(working_directory, entrypoint, settings)
    except OSError as error:
        hint = "Make the file readable, commit, and push; or correct the job variable that names it."
        raise ProjectInvalidError(f"{error.filename} cannot be read.", f"{error.strerror}.", hint) from None


def _locate(working_directory: Path, entrypoint: str | None, settings: Settings) -> Project:
    location = FlowLocation.of(working_directory, entrypoint, settings.source_root)
    if settings.requirements:
        project = _requirements_from_settings(location, settings)
    elif settings.project:
        project = _project_of_setting(location, settings)
    elif script := Script.read(location.flow_file):
        project = _flow_script(location, script, settings)
    else:
        project = _nearest_project(location, location.search_directories, settings)
    # Without a project, a .python-version is ignored: the flow runs on the image's own Python.
    pins = () if project.shape == NO_PROJECT else directories_upwards(project.directory, location.working_directory)
    request, origin = python_request.requested_python(pins, settings)
    return replace(
        project, search_directories=location.search_directories, python_request=request, python_origin=origin
    )


def log_project(log: RunLog, project: Project, installed: Collection[Path] = ()) -> Project:
    """Log what was found in one line, and a warning about ignored files if there is one; return the project.

    Args:
        log: the log.
        project: what was found.
        installed: files that are installed whatever the project is.
    """
    log.info(f"look: {project.describe(installed)}")
    if project.ignored_files_warning:
        log.warning(project.ignored_files_warning)
    return project


def _requirements_from_settings(location: FlowLocation, settings: Settings) -> Project:
    """The files that PREFECT_UV_REQUIREMENTS names."""
    if settings.project:
        raise SelectionInvalidError(
            "PREFECT_UV_REQUIREMENTS and PREFECT_UV_PROJECT cannot be combined.",
            "Requirements files are installed instead of a project.",
            "Set only PREFECT_UV_REQUIREMENTS, with paths relative to the pulled directory.",
        )
    files = expand_patterns(location.working_directory, settings.requirements, "PREFECT_UV_REQUIREMENTS")
    if lock := next((file for file in files if PYLOCK_NAME.fullmatch(file.name)), None):
        raise SelectionInvalidError(
            f"PREFECT_UV_REQUIREMENTS names {location.display_path(lock)}, which is a lockfile.",
            hint=f"Set PREFECT_UV_PROJECT={location.display_path(lock)} instead.",
        )
    project = requirements_project(location, location.working_directory, files, settings)
    return replace(project, summary=f"{project.shape} {project.summary}, selected by PREFECT_UV_REQUIREMENTS")


def _project_of_setting(location: FlowLocation, settings: Settings) -> Project:
    """The directory, the script or the pylock.toml that PREFECT_UV_PROJECT names."""
    path = (location.working_directory / settings.project).resolve()
    project: Project
    if PYLOCK_NAME.fullmatch(path.name) and path.is_file():
        project = pylock_project(location, path, settings)
    elif script := Script.read(path if path.is_file() else None):
        project = _script_project(location, script, settings)
    else:
        found = (nearest_pyproject([path]), Declaration.of(path), pylock_files(path))
        if not any(found) and not (path / REQUIREMENTS_TXT).is_file():
            raise ProjectMissingError(
                f"PREFECT_UV_PROJECT names {settings.project}, but there is no project there.",
                other_tools.describe_path(path),
                "Set the job variable to a directory with a pyproject.toml, pylock.toml or requirements.txt, to a"
                " pylock.toml, or to a script with a `# /// script` block, relative to the pulled directory.",
            )
        project = _nearest_project(location, (path,), settings)
    return replace(project, summary=f"{project.summary}, selected by PREFECT_UV_PROJECT")


def _flow_script(location: FlowLocation, script: Script, settings: Settings) -> Project:
    """The flow's own file, which `uv run` would use too; the line says what is around it and how to use that."""
    project = _script_project(location, script, settings)
    around = Candidates.search(location, location.search_directories)
    return replace(project, not_used=around.without(), choice=around.choice)


def _script_project(location: FlowLocation, script: Script, settings: Settings) -> Project:
    selection_check.require_no_selection(
        Selection.of(settings),
        f"{location.display_path(script.path)} is a script with its own requirements",
        "Unset these job variables, or set PREFECT_UV_PROJECT=. to use the project instead.",
    )
    if script.lock.is_file() or settings.lock == "relock":
        return locked_script(location, script, settings)
    return unlocked_script(location, script, settings)


def _nearest_project(location: FlowLocation, directories: Sequence[Path], settings: Settings) -> Project:
    """The nearest project, if it has a lockfile; else a requirements.txt in it or below it; else no project.

    Raises:
        LockfileMissingError: the nearest project has neither, or it is not clear which lockfile is to be used.
    """
    found = Candidates.search(location, directories)
    pyproject, requirements = found.pyproject, found.requirements
    if found.pylock and (settings.lock != "relock" or not pyproject):
        pylock = pylock_project(location, found.pylock, settings)
        return replace(pylock, not_used=found.without(found.pylock))
    if pyproject and (settings.lock == "relock" or found.lock):
        locked = locked_project(location, pyproject, settings)
        return replace(locked, not_used=found.without(found.lock))
    declared = found.declaration
    top = declared.file.parent if declared else pyproject.directory if pyproject else None
    if requirements and (top is None or requirements.is_relative_to(top)):
        return _nearest_requirements(found, requirements, settings)
    if declared and declared.reader:
        raise other_tool_error(found, declared)
    if pyproject or found.pylocks:
        raise lockfile_missing_error(found)
    nothing = no_project(location, settings)
    return replace(
        nothing,
        summary=f"{nothing.summary}{other_tools.unread_pyproject_note(location, directories)}",
        ignored_files_warning=other_tools.other_tools_warning(location, directories),
    )


def _nearest_requirements(found: Candidates, requirements: Path, settings: Settings) -> Project:
    """A requirements.txt, which must have the dependencies of a project next to it.

    Raises:
        LockfileMissingError: it lacks some of them, so the flow would start without them.
    """
    project = requirements_project(found.location, requirements.parent, [requirements], settings)
    project = replace(project, summary=f"{project.shape} {project.summary}", not_used=found.without(requirements))
    declared = found.declaration
    if declared is None:
        return project
    name = found.location.display_path(declared.file)
    if declared.file.parent != requirements.parent:
        return replace(project, not_used={**project.not_used, name: declared.file})
    installs_project = any(package.directory == requirements.parent for package in project.local_packages)
    missing = declared.names - project.names - {*PREFECT}
    if missing and not installs_project:
        raise incomplete_requirements_error(found, declared, requirements, missing)
    reason = f"only {declared.reader} reads {name}" if declared.reader else f"{name} has no uv.lock"
    return replace(project, summary=f"{project.summary}, because {reason}")
