"""Flows without a lockfile: requirements files, a script alone, or nothing at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from prefect_uv.errors import PrefectMissingError
from prefect_uv.image_facts import Image
from prefect_uv.project import selection_check
from prefect_uv.project.discovery.flow_location import FlowLocation
from prefect_uv.project.discovery.uv_configuration import uv_configuration_file
from prefect_uv.project.files.inline_script import Script
from prefect_uv.project.files.input_files import read_inputs
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
SELECTION_HINT = "Unset these job variables, or set PREFECT_UV_PROJECT to the directory of a project."


def requirements_project(
    location: FlowLocation, directory: Path, files: Iterable[Path], settings: Settings
) -> UnlockedProject:
    """Requirements files for the code in a directory. The image's Prefect is added if they do not name Prefect.

    Raises:
        PrefectMissingError: they have hashes, and Prefect is not among them.
        SelectionInvalidError: groups, extras or a package are selected.
    """
    selection_check.require_no_selection(
        Selection.of(settings), "requirements files have neither groups nor extras", SELECTION_HINT
    )
    requirements = Requirements.read(directory, files, settings.environ)
    added = () if requirements.has_prefect else (_image_prefect(),)
    names = ", ".join(location.display_path(file) for file in requirements.files)
    if added and requirements.hashed:
        raise PrefectMissingError(
            f"Prefect is not among the hashed requirements in {names}.",
            f"Without hashes, {added[0]} would be added, which is the image's version.",
            f"Add {added[0]} to the file that the hashes are compiled from, compile it again, commit, and push.",
        )
    packages = tuple(map(LocalPackage.of, only_directories(requirements.local_paths)))
    configuration = uv_configuration_file(directory, location)
    return UnlockedProject(
        name=location.name_of(requirements.files[0]),
        shape="requirements files" if len(requirements.files) > 1 else "requirements file",
        directory=directory,
        root=directory,
        inputs=(*requirements.inputs, *read_inputs(directory, [configuration])),
        uv_configuration=configuration,
        source_roots=_source_roots(location, directory, settings, packages),
        local_packages=packages,
        requirements=added,
        files=requirements.files,
        names=frozenset([*(item.name for item in requirements.requirements), *(package.name for package in packages)]),
        summary=names + (f"; {added[0]} is added, the image's version" if added else ""),
    )


def unlocked_script(location: FlowLocation, script: Script, settings: Settings) -> UnlockedProject:
    """A script without a lockfile, with the requirements in its own block.

    Raises:
        LocalDependencyMissingError: a directory or an archive that it names was not pulled.
    """
    directory = script.path.parent
    configuration = uv_configuration_file(directory, location)
    local_paths = with_path_dependencies(
        require_path(path, script.path, os.path.relpath(path, directory))
        for path in path_sources(script.document, directory)
    )
    packages = tuple(map(LocalPackage.of, only_directories(local_paths)))
    return UnlockedProject(
        name=location.name_of(script.path),
        shape=SCRIPT_SHAPE,
        directory=directory,
        root=directory,
        inputs=(script.input, *read_inputs(directory, [configuration]), *read_local_paths(directory, local_paths)),
        uv_configuration=configuration,
        source_roots=_source_roots(location, directory, settings, packages),
        local_packages=packages,
        script=script,
        requires_python=script.requires_python,
        summary=f"script {location.display_path(script.path)} without a lock",
    )


def no_project(location: FlowLocation, settings: Settings) -> UnlockedProject:
    """Code without any project: it gets the Prefect that the image was built for.

    Raises:
        SelectionInvalidError: groups, extras or a package are selected.
    """
    selection_check.require_no_selection(Selection.of(settings), "there is no project", SELECTION_HINT)
    prefect, directory = _image_prefect(), location.working_directory
    configuration = uv_configuration_file(directory, location)
    return UnlockedProject(
        name="prefect",
        shape=NO_PROJECT,
        directory=directory,
        root=directory,
        inputs=read_inputs(directory, [configuration]),
        uv_configuration=configuration,
        source_roots=_source_roots(location, directory, settings),
        requirements=(prefect,),
        summary=f"no project, script or requirements file: only {prefect}, the image's version",
    )


def _source_roots(
    location: FlowLocation, directory: Path, settings: Settings, packages: Iterable[LocalPackage] = ()
) -> tuple[Path, ...]:
    return import_path(packages, directory, chosen_roots(location.working_directory, settings.source_root))


def _image_prefect() -> str:
    return f"prefect=={Image.read().prefect}"
