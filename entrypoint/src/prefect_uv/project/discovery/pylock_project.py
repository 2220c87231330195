"""The packages of a pylock.toml (PEP 751), whichever tool wrote it."""

from __future__ import annotations

from pathlib import Path

from prefect_uv.project.discovery.flow_location import FlowLocation
from prefect_uv.project.discovery.local_dependencies import require_pulled
from prefect_uv.project.discovery.uv_configuration import uv_configuration_file
from prefect_uv.project.files.input_files import read_inputs
from prefect_uv.project.files.pyproject import Pyproject
from prefect_uv.project.files.source_roots import chosen_roots
from prefect_uv.project.lockfile.local_packages import LocalPackage, import_path
from prefect_uv.project.lockfile.pylock_text import PYLOCK, PYLOCK_NAME, PylockText
from prefect_uv.project.model import PylockProject
from prefect_uv.project.selection import Selection
from prefect_uv.project.selection_check import check_pylock_selection
from prefect_uv.settings import Settings


def pylock_files(directory: Path) -> list[Path]:
    """The lockfiles of a directory, pylock.toml first."""
    names = (path for path in directory.glob("pylock.*toml") if PYLOCK_NAME.fullmatch(path.name) and path.is_file())
    return sorted(names, key=lambda path: (path.name != PYLOCK, path.name))


def pylock_project(location: FlowLocation, file: Path, settings: Settings) -> PylockProject:
    """The packages of a lockfile, and the code of the project next to it.

    Raises:
        ProjectInvalidError: the file is not a pylock.toml.
        SelectionInvalidError: it does not have what is selected.
        LocalDependencyMissingError: a local dependency was not pulled.
    """
    lock, directory, selection = PylockText.read(file), file.parent, Selection.of(settings)
    check_pylock_selection(selection, lock)
    for entry in lock.local_entries:
        require_pulled(entry.name, [directory / path for path in entry.paths], file, location)
    project = Pyproject.read(directory)
    packages = _local_packages(lock, project)
    configuration = uv_configuration_file(directory, location)
    selected = f", {selection}" if str(selection) else ""
    return PylockProject(
        name=project.name if project and project.is_project else location.name_of(file),
        shape=PYLOCK,
        directory=directory,
        root=directory,
        inputs=read_inputs(directory, [file, configuration]),
        uv_configuration=configuration,
        source_roots=import_path(packages, directory, chosen_roots(location.working_directory, settings.source_root)),
        local_packages=packages,
        requires_python=lock.requires_python,
        selection=selection,
        summary=f"{location.display_path(file)}, locked by {lock.created_by}{selected}",
        lock=file,
        default_groups=lock.default_groups,
    )


def _local_packages(lock: PylockText, project: Pyproject | None) -> tuple[LocalPackage, ...]:
    """The packages that are directories, and the project next to the lockfile, which most tools leave out of it."""
    directories = [lock.file.parent / entry.paths[0] for entry in lock.local_entries if entry.is_directory]
    if project and project.backend:
        directories.insert(0, project.directory)
    unique = dict.fromkeys(directory.resolve() for directory in directories)
    return tuple(map(LocalPackage.of, unique))
