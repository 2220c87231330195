"""What a lock makes of a project or a script."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from prefect_uv.errors import SelectionInvalidError
from prefect_uv.project import selecting
from prefect_uv.project.inputs import configuration, read_all
from prefect_uv.project.kinds import SCRIPT, Locked
from prefect_uv.project.local import check_local
from prefect_uv.project.locks import Wish, requires_python
from prefect_uv.project.packages import LocalPackage, import_path, local_packages, local_places
from prefect_uv.project.pyproject import NAME, Pyproject
from prefect_uv.project.script import Script
from prefect_uv.project.sources import chosen_roots
from prefect_uv.project.start import Start, upwards
from prefect_uv.project.text import text
from prefect_uv.project.workspace import members, root_of
from prefect_uv.selection import Selection
from prefect_uv.settings import Settings

LOCK = "uv.lock"


def locked_project(start: Start, project: Pyproject, settings: Settings) -> Locked:
    """A project with the lock of its workspace.

    Raises:
        SelectionInvalidError: the project does not have what is selected.
        DependencyUnreachableError: a local dependency was not pulled.
    """
    above = upwards(project.directory, start.working_directory)
    root = root_of(project, above[1:])
    selection = Selection.of(settings)
    chosen = _member(root, selection.package) if selection.package else project
    selecting.check(selection, [chosen] if chosen.is_project else [*members(root).values()], root)
    lock = _text(root.directory / LOCK)
    packages = local_packages(lock, root.directory, chosen.directory, selection)
    every = (place for _, place in local_places(lock, root.directory))
    check_local(root.directory / LOCK, lock, packages, start, frozen=settings.lock == "frozen")
    settings_of_uv = configuration(root.directory, start)
    files = [root.directory / LOCK, settings_of_uv]
    return Locked(
        name=chosen.name,
        shape=_shape(root, chosen),
        directory=chosen.directory,
        root=root.directory,
        inputs=read_all(root.directory, files, [root.directory, chosen.directory, *every]),
        configuration=settings_of_uv,
        source_roots=_import_path(start, packages, chosen.directory, settings),
        packages=packages,
        requires_python=requires_python(lock) or chosen.requires_python,
        selection=selection,
        line=_line(start, root, chosen, selection),
    )


def locked_script(start: Start, script: Script, settings: Settings) -> Locked:
    """A script with its own lock.

    Raises:
        DependencyUnreachableError: a local dependency was not pulled.
    """
    lock, directory = _text(script.lock), script.path.parent
    packages = local_packages(lock, directory, directory, Selection())
    check_local(script.lock, lock, packages, start, frozen=settings.lock == "frozen")
    settings_of_uv = configuration(directory, start)
    read = read_all(directory, [script.lock, settings_of_uv], (place for _, place in local_places(lock, directory)))
    return Locked(
        name=script.path.stem,
        shape=SCRIPT,
        directory=directory,
        root=directory,
        script=script.path,
        inputs=(script.input, *read),
        configuration=settings_of_uv,
        source_roots=_import_path(start, packages, directory, settings),
        packages=packages,
        requires_python=requires_python(lock) or script.requires_python,
        line=f"script {start.shown(script.path)}{f' with its lock {script.lock.name}' if lock else ', not locked yet'}",
    )


def wished(root: Pyproject, project: Pyproject, selection: Selection) -> Wish:
    """What uv is asked for, in the lock's terms; a root that is no project stands for all members (uv 0.13.8)."""
    targets = (project.name,) if project.is_project else tuple(members(root))
    return Wish(targets, root.name, selection, frozenset(project.default_groups))


def _text(lock: Path) -> str:
    """A lock's text; PREFECT_UV_LOCK=relock goes on without one."""
    return text(lock) if lock.is_file() else ""


def _import_path(
    start: Start, packages: Iterable[LocalPackage], directory: Path, settings: Settings
) -> tuple[Path, ...]:
    return import_path(packages, directory, chosen_roots(start.working_directory, settings.source_root))


def _member(root: Pyproject, package: str) -> Pyproject:
    existing = members(root)
    if package not in existing:
        raise SelectionInvalidError(
            f"PREFECT_UV_PACKAGE names {package}, which is no member of the workspace.",
            f"{root.directory / NAME} has {', '.join(sorted(existing)) or 'no members'}.",
            "Correct the job variable, or add the package to [tool.uv.workspace] and lock again.",
        )
    return existing[package]


def _shape(root: Pyproject, project: Pyproject) -> str:
    if project.directory != root.directory:
        return "workspace member"
    if not project.is_project:
        return "workspace"
    return "package" if project.backend else "virtual project"


def _line(start: Start, root: Pyproject, project: Pyproject, selection: Selection) -> str:
    layout = ", src layout" if (project.directory / "src").is_dir() else ""
    backend = f" ({project.backend}{layout})" if project.backend else ""
    place = start.shown(project.directory)
    where = f" in {place}" if place != "." else ""
    beside = "beside it" if root.directory == project.directory else "in the workspace's root"
    lock = f"uv.lock {beside}" if (root.directory / LOCK).is_file() else "not locked yet"
    chosen = str(replace(selection, package=""))
    return ", ".join(filter(None, [f"{_shape(root, project)} {project.name}{where}{backend}", lock, chosen]))
