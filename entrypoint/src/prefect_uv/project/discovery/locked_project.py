"""What a lock makes of a project or a script."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from prefect_uv.errors import SelectionInvalidError
from prefect_uv.project import selection_check
from prefect_uv.project.discovery.flow_location import FlowLocation, directories_upwards
from prefect_uv.project.discovery.local_dependencies import check_local_dependencies
from prefect_uv.project.files.inline_script import Script
from prefect_uv.project.files.input_files import read_inputs, uv_configuration_file
from prefect_uv.project.files.pyproject import PYPROJECT, Pyproject
from prefect_uv.project.files.source_roots import chosen_roots
from prefect_uv.project.files.text_files import read_text
from prefect_uv.project.files.uv_workspace import workspace_members, workspace_root
from prefect_uv.project.lockfile.local_packages import LocalPackage, import_path, local_package_paths, local_packages
from prefect_uv.project.lockfile.lock_graph import LockQuery
from prefect_uv.project.lockfile.lockfile_text import requires_python
from prefect_uv.project.model import SCRIPT_SHAPE, LockedProject
from prefect_uv.project.selection import Selection
from prefect_uv.settings import Settings

LOCK = "uv.lock"


def locked_project(location: FlowLocation, project: Pyproject, settings: Settings) -> LockedProject:
    """A project with the lock of its workspace.

    Raises:
        SelectionInvalidError: the project does not have what is selected.
        DependencyUnreachableError: a local dependency was not pulled.
    """
    above = directories_upwards(project.directory, location.working_directory)
    root = workspace_root(project, above[1:])
    selection = Selection.of(settings)
    chosen = _member(root, selection.package) if selection.package else project
    selection_check.check_selection(
        selection, [chosen] if chosen.is_project else [*workspace_members(root).values()], root
    )
    lock = _text(root.directory / LOCK)
    packages = local_packages(lock, root.directory, chosen.directory, selection)
    every = (place for _, place in local_package_paths(lock, root.directory))
    check_local_dependencies(root.directory / LOCK, lock, packages, location, frozen=settings.lock == "frozen")
    settings_of_uv = uv_configuration_file(root.directory, location)
    files = [root.directory / LOCK, settings_of_uv]
    return LockedProject(
        name=chosen.name,
        shape=_shape(root, chosen),
        directory=chosen.directory,
        root=root.directory,
        inputs=read_inputs(root.directory, files, [root.directory, chosen.directory, *every]),
        configuration=settings_of_uv,
        source_roots=_import_path(location, packages, chosen.directory, settings),
        packages=packages,
        requires_python=requires_python(lock) or chosen.requires_python,
        selection=selection,
        line=_summary(location, root, chosen, selection),
    )


def locked_script(location: FlowLocation, script: Script, settings: Settings) -> LockedProject:
    """A script with its own lock.

    Raises:
        DependencyUnreachableError: a local dependency was not pulled.
    """
    lock, directory = _text(script.lock), script.path.parent
    packages = local_packages(lock, directory, directory, Selection())
    check_local_dependencies(script.lock, lock, packages, location, frozen=settings.lock == "frozen")
    settings_of_uv = uv_configuration_file(directory, location)
    read = read_inputs(
        directory, [script.lock, settings_of_uv], (place for _, place in local_package_paths(lock, directory))
    )
    locked = f" with its lock {script.lock.name}" if lock else ", not locked yet"
    return LockedProject(
        name=script.path.stem,
        shape=SCRIPT_SHAPE,
        directory=directory,
        root=directory,
        script=script.path,
        inputs=(script.input, *read),
        configuration=settings_of_uv,
        source_roots=_import_path(location, packages, directory, settings),
        packages=packages,
        requires_python=requires_python(lock) or script.requires_python,
        line=f"script {location.shown(script.path)}{locked}",
    )


def lock_query(root: Pyproject, project: Pyproject, selection: Selection) -> LockQuery:
    """What uv is asked for, in the lock's terms; a root that is no project stands for all members (uv 0.13.8)."""
    targets = (project.name,) if project.is_project else tuple(workspace_members(root))
    return LockQuery(targets, root.name, selection, frozenset(project.default_groups))


def _text(lock: Path) -> str:
    """A lock's text; PREFECT_UV_LOCK=relock goes on without one."""
    return read_text(lock) if lock.is_file() else ""


def _import_path(
    location: FlowLocation, packages: Iterable[LocalPackage], directory: Path, settings: Settings
) -> tuple[Path, ...]:
    return import_path(packages, directory, chosen_roots(location.working_directory, settings.source_root))


def _member(root: Pyproject, package: str) -> Pyproject:
    existing = workspace_members(root)
    if package not in existing:
        raise SelectionInvalidError(
            f"PREFECT_UV_PACKAGE names {package}, which is no member of the workspace.",
            f"{root.directory / PYPROJECT} has {', '.join(sorted(existing)) or 'no members'}.",
            "Correct the job variable, or add the package to [tool.uv.workspace] and lock again.",
        )
    return existing[package]


def _shape(root: Pyproject, project: Pyproject) -> str:
    if project.directory != root.directory:
        return "workspace member"
    if not project.is_project:
        return "workspace"
    return "package" if project.backend else "virtual project"


def _summary(location: FlowLocation, root: Pyproject, project: Pyproject, selection: Selection) -> str:
    layout = ", src layout" if (project.directory / "src").is_dir() else ""
    backend = f" ({project.backend}{layout})" if project.backend else ""
    place = location.shown(project.directory)
    where = f" in {place}" if place != "." else ""
    beside = "beside it" if root.directory == project.directory else "in the workspace's root"
    lock = f"uv.lock {beside}" if (root.directory / LOCK).is_file() else "not locked yet"
    chosen = str(replace(selection, package=""))
    return ", ".join(filter(None, [f"{_shape(root, project)} {project.name}{where}{backend}", lock, chosen]))
