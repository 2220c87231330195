"""Projects and scripts with a lockfile."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from prefect_uv.errors import SelectionInvalidError
from prefect_uv.project import selection_check
from prefect_uv.project.discovery.flow_location import FlowLocation, directories_upwards
from prefect_uv.project.discovery.local_dependencies import check_local_dependencies
from prefect_uv.project.discovery.uv_configuration import uv_configuration_file
from prefect_uv.project.files.inline_script import Script
from prefect_uv.project.files.input_files import read_inputs
from prefect_uv.project.files.pyproject import PYPROJECT, Pyproject
from prefect_uv.project.files.source_roots import chosen_roots, has_src_layout
from prefect_uv.project.files.text_files import read_text
from prefect_uv.project.files.uv_workspace import workspace_members, workspace_root
from prefect_uv.project.lockfile.local_packages import LocalPackage, import_path, local_package_paths, local_packages
from prefect_uv.project.lockfile.lock_graph import LockQuery
from prefect_uv.project.lockfile.lockfile_text import requires_python
from prefect_uv.project.model import SCRIPT_SHAPE, LockedProject
from prefect_uv.project.selection import Selection
from prefect_uv.settings import Settings

LOCK = "uv.lock"


def locked_project(location: FlowLocation, nearest: Pyproject, settings: Settings) -> LockedProject:
    """The project of a pyproject.toml, or the member of its workspace that is selected, with the workspace's lock.

    Raises:
        SelectionInvalidError: the project does not define what is selected.
        LocalDependencyMissingError: a local dependency was not pulled.
    """
    above = directories_upwards(nearest.directory, location.working_directory)
    root = workspace_root(nearest, above[1:])
    selection = Selection.of(settings)
    project = _member(root, selection.package) if selection.package else nearest
    selection_check.check_selection(
        selection, [project] if project.is_project else [*workspace_members(root).values()], root
    )
    lock = _text_if_present(root.directory / LOCK)
    packages = local_packages(lock, root.directory, project.directory, selection)
    all_local = (path for _, path in local_package_paths(lock, root.directory))
    check_local_dependencies(root.directory / LOCK, lock, packages, location, frozen=settings.lock == "frozen")
    configuration = uv_configuration_file(root.directory, location)
    files = [root.directory / LOCK, configuration]
    return LockedProject(
        name=project.name,
        shape=_shape(root, project),
        directory=project.directory,
        root=root.directory,
        inputs=read_inputs(root.directory, files, [root.directory, project.directory, *all_local]),
        uv_configuration=configuration,
        source_roots=_import_path(location, packages, project.directory, settings),
        local_packages=packages,
        requires_python=requires_python(lock) or project.requires_python,
        selection=selection,
        summary=_summary(location, root, project, selection),
    )


def locked_script(location: FlowLocation, script: Script, settings: Settings) -> LockedProject:
    """A script with its own lockfile; with PREFECT_UV_LOCK=relock that may not exist yet.

    Raises:
        LocalDependencyMissingError: a local dependency was not pulled.
    """
    lock, directory = _text_if_present(script.lock), script.path.parent
    packages = local_packages(lock, directory, directory, Selection())
    check_local_dependencies(script.lock, lock, packages, location, frozen=settings.lock == "frozen")
    configuration = uv_configuration_file(directory, location)
    all_local = (path for _, path in local_package_paths(lock, directory))
    lock_status = f" with its lock {script.lock.name}" if lock else ", not locked yet"
    return LockedProject(
        name=location.name_of(script.path),
        shape=SCRIPT_SHAPE,
        directory=directory,
        root=directory,
        script=script.path,
        inputs=(script.input, *read_inputs(directory, [script.lock, configuration], all_local)),
        uv_configuration=configuration,
        source_roots=_import_path(location, packages, directory, settings),
        local_packages=packages,
        requires_python=requires_python(lock) or script.requires_python,
        summary=f"script {location.display_path(script.path)}{lock_status}",
    )


def lock_query(root: Pyproject, project: Pyproject, selection: Selection) -> LockQuery:
    """A selection in the lock's terms. A workspace root that is not a project stands for all members.

    uv 0.13.8: https://github.com/astral-sh/uv/blob/0.13.8/crates/uv/src/commands/project/install_target.rs
    (`NonProjectWorkspace`)
    """
    targets = (project.name,) if project.is_project else tuple(workspace_members(root))
    return LockQuery(targets, root.name, selection, frozenset(project.default_groups))


def _text_if_present(lock: Path) -> str:
    """A lockfile's text; empty if there is none, which PREFECT_UV_LOCK=relock allows."""
    return read_text(lock) if lock.is_file() else ""


def _import_path(
    location: FlowLocation, packages: Iterable[LocalPackage], directory: Path, settings: Settings
) -> tuple[Path, ...]:
    return import_path(packages, directory, chosen_roots(location.working_directory, settings.source_root))


def _member(root: Pyproject, package: str) -> Pyproject:
    members = workspace_members(root)
    if package not in members:
        listed = f"the members {', '.join(sorted(members))}" if members else "no members"
        raise SelectionInvalidError(
            f"PREFECT_UV_PACKAGE names {package}, which is not a member of the workspace.",
            f"The workspace of {root.directory / PYPROJECT} has {listed}.",
            "Correct the job variable, or add the package to [tool.uv.workspace] and run `uv lock`.",
        )
    return members[package]


def _shape(root: Pyproject, project: Pyproject) -> str:
    if project.directory != root.directory:
        return "workspace member"
    if not project.is_project:
        return "workspace"
    return "package" if project.backend else "virtual project"


def _summary(location: FlowLocation, root: Pyproject, project: Pyproject, selection: Selection) -> str:
    layout = ", src layout" if has_src_layout(project.directory, project.document) else ""
    backend = f" ({project.backend}{layout})" if project.backend else ""
    directory = location.display_path(project.directory)
    where = f" in {directory}" if directory != "." else ""
    lock_place = "next to it" if root.directory == project.directory else "in the workspace root"
    lock_status = f"uv.lock {lock_place}" if (root.directory / LOCK).is_file() else "not locked yet"
    selected = str(replace(selection, package=""))
    return ", ".join(filter(None, [f"{_shape(root, project)} {project.name}{where}{backend}", lock_status, selected]))
