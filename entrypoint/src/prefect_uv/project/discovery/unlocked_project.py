"""What has no lock: requirements files, a script alone, or nothing at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from prefect_uv.errors import PrefectMissingError
from prefect_uv.image_facts import Image
from prefect_uv.project import selection_check
from prefect_uv.project.discovery.flow_location import FlowLocation
from prefect_uv.project.files.inline_script import Script
from prefect_uv.project.files.input_files import read_inputs, uv_configuration_file
from prefect_uv.project.files.local_paths import (
    only_directories,
    path_sources,
    read_local_paths,
    require_path,
    with_path_dependencies,
)
from prefect_uv.project.files.requirements_files import Requirements
from prefect_uv.project.files.source_roots import chosen_roots
from prefect_uv.project.lockfile.local_packages import LocalPackage, import_path
from prefect_uv.project.model import SCRIPT_SHAPE, UnlockedProject
from prefect_uv.project.selection import Selection
from prefect_uv.settings import Settings

NO_PROJECT = "no project"
NO_SELECTION = "Take it out of the job variables, or set PREFECT_UV_PROJECT to the directory of a project."


def requirements_project(
    location: FlowLocation, directory: Path, files: Iterable[Path], settings: Settings
) -> UnlockedProject:
    """The packages of requirements files for the code in a directory; the image's Prefect when they do not name it.

    Raises:
        PrefectMissingError: they are hashed, and Prefect is not among them.
        SelectionInvalidError: groups, extras or a package are selected.
    """
    selection_check.refuse_selection(
        Selection.of(settings), "requirements files have neither groups nor extras", NO_SELECTION
    )
    found = Requirements.read(directory, files, settings.environ)
    added = () if found.has_prefect else (_prefect(),)
    names = ", ".join(location.shown(file) for file in found.files)
    if added and found.hashed:
        raise PrefectMissingError(
            f"Prefect is not among the hashed requirements in {names}.",
            f"Without hashes in them, {added[0]} would be added, as the image has it.",
            f"Add {added[0]} to what the file is made of, compile it again, commit, and push.",
        )
    packages = tuple(map(LocalPackage.of, only_directories(found.places)))
    settings_of_uv = uv_configuration_file(directory, location)
    return UnlockedProject(
        name=found.files[0].stem,
        shape="requirements files" if len(found.files) > 1 else "requirements file",
        directory=directory,
        root=directory,
        inputs=(*found.inputs, *read_inputs(directory, [settings_of_uv])),
        configuration=settings_of_uv,
        source_roots=_own_roots(location, directory, settings, packages),
        packages=packages,
        requirements=added,
        files=found.files,
        line=names + (f"; {added[0]} is added, as the image has it" if added else ""),
    )


def unlocked_script(location: FlowLocation, script: Script, settings: Settings) -> UnlockedProject:
    """The packages of a script's own block.

    Raises:
        DependencyUnreachableError: a directory or an archive that it names was not pulled.
    """
    directory = script.path.parent
    settings_of_uv = uv_configuration_file(directory, location)
    named = path_sources(script.document, directory)
    found = with_path_dependencies(
        require_path(place, script.path, os.path.relpath(place, directory)) for place in named
    )
    packages = tuple(map(LocalPackage.of, only_directories(found)))
    return UnlockedProject(
        name=script.path.stem,
        shape=SCRIPT_SHAPE,
        directory=directory,
        root=directory,
        inputs=(script.input, *read_inputs(directory, [settings_of_uv]), *read_local_paths(directory, found)),
        configuration=settings_of_uv,
        source_roots=_own_roots(location, directory, settings, packages),
        packages=packages,
        script=script,
        requires_python=script.requires_python,
        line=f"script {location.shown(script.path)} without a lock",
    )


def no_project(location: FlowLocation, settings: Settings) -> UnlockedProject:
    """No project at all: the Prefect that the image was built for; a .python-version alone asks for nothing.

    Raises:
        SelectionInvalidError: groups, extras or a package are selected.
    """
    selection_check.refuse_selection(Selection.of(settings), "there is no project", NO_SELECTION)
    prefect, directory = _prefect(), location.working_directory
    settings_of_uv = uv_configuration_file(directory, location)
    return UnlockedProject(
        name="prefect",
        shape=NO_PROJECT,
        directory=directory,
        root=directory,
        inputs=read_inputs(directory, [settings_of_uv]),
        configuration=settings_of_uv,
        source_roots=_own_roots(location, directory, settings),
        requirements=(prefect,),
        line=f"no project, script or requirements file: {prefect} alone, as the image has it",
    )


def _own_roots(
    location: FlowLocation, directory: Path, settings: Settings, packages: Iterable[LocalPackage] = ()
) -> tuple[Path, ...]:
    """Where the flow's code is imported from, as in a project."""
    return import_path(packages, directory, chosen_roots(location.working_directory, settings.source_root))


def _prefect() -> str:
    return f"prefect=={Image.read().prefect}"
