"""What has no lock: requirements files, a script alone, or nothing at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from prefect_uv.errors import PrefectMissingError
from prefect_uv.image import Image
from prefect_uv.project import selecting
from prefect_uv.project.inputs import configuration, read_all
from prefect_uv.project.kinds import SCRIPT, Unlocked
from prefect_uv.project.packages import LocalPackage, import_path
from prefect_uv.project.places import directories, path_sources, reached, read_places, there
from prefect_uv.project.requirements import Requirements
from prefect_uv.project.script import Script
from prefect_uv.project.sources import chosen_roots
from prefect_uv.project.start import Start
from prefect_uv.selection import Selection
from prefect_uv.settings import Settings

NO_PROJECT = "no project"
NO_SELECTION = "Take it out of the job variables, or set PREFECT_UV_PROJECT to the directory of a project."


def requirements_files(start: Start, directory: Path, files: Iterable[Path], settings: Settings) -> Unlocked:
    """The packages of requirements files for the code in a directory; the image's Prefect when they do not name it.

    Raises:
        PrefectMissingError: they are hashed, and Prefect is not among them.
        SelectionInvalidError: groups, extras or a package are selected.
    """
    selecting.refuse_any(Selection.of(settings), "requirements files have neither groups nor extras", NO_SELECTION)
    found = Requirements.read(directory, files, settings.environ)
    added = () if found.has_prefect else (_prefect(),)
    names = ", ".join(start.shown(file) for file in found.files)
    if added and found.hashed:
        raise PrefectMissingError(
            f"Prefect is not among the hashed requirements in {names}.",
            f"Without hashes in them, {added[0]} would be added, as the image has it.",
            f"Add {added[0]} to what the file is made of, compile it again, commit, and push.",
        )
    packages = tuple(map(LocalPackage.of, directories(found.places)))
    settings_of_uv = configuration(directory, start)
    return Unlocked(
        name=found.files[0].stem,
        shape="requirements files" if len(found.files) > 1 else "requirements file",
        directory=directory,
        root=directory,
        inputs=(*found.inputs, *read_all(directory, [settings_of_uv])),
        configuration=settings_of_uv,
        source_roots=_own_roots(start, directory, settings, packages),
        packages=packages,
        requirements=added,
        files=found.files,
        line=names + (f"; {added[0]} is added, as the image has it" if added else ""),
    )


def script_alone(start: Start, script: Script, settings: Settings) -> Unlocked:
    """The packages of a script's own block.

    Raises:
        DependencyUnreachableError: a directory or an archive that it names was not pulled.
    """
    directory = script.path.parent
    settings_of_uv = configuration(directory, start)
    named = path_sources(script.document, directory)
    found = reached(there(place, script.path, os.path.relpath(place, directory)) for place in named)
    packages = tuple(map(LocalPackage.of, directories(found)))
    return Unlocked(
        name=script.path.stem,
        shape=SCRIPT,
        directory=directory,
        root=directory,
        inputs=(script.input, *read_all(directory, [settings_of_uv]), *read_places(directory, found)),
        configuration=settings_of_uv,
        source_roots=_own_roots(start, directory, settings, packages),
        packages=packages,
        script=script,
        requires_python=script.requires_python,
        line=f"script {start.shown(script.path)} without a lock",
    )


def nothing(start: Start, settings: Settings) -> Unlocked:
    """No project at all: the Prefect that the image was built for; a .python-version alone asks for nothing.

    Raises:
        SelectionInvalidError: groups, extras or a package are selected.
    """
    selecting.refuse_any(Selection.of(settings), "there is no project", NO_SELECTION)
    prefect, directory = _prefect(), start.working_directory
    settings_of_uv = configuration(directory, start)
    return Unlocked(
        name="prefect",
        shape=NO_PROJECT,
        directory=directory,
        root=directory,
        inputs=read_all(directory, [settings_of_uv]),
        configuration=settings_of_uv,
        source_roots=_own_roots(start, directory, settings),
        requirements=(prefect,),
        line=f"no project, script or requirements file: {prefect} alone, as the image has it",
    )


def _own_roots(
    start: Start, directory: Path, settings: Settings, packages: Iterable[LocalPackage] = ()
) -> tuple[Path, ...]:
    """Where the flow's code is imported from, as in a project."""
    return import_path(packages, directory, chosen_roots(start.working_directory, settings.source_root))


def _prefect() -> str:
    return f"prefect=={Image.read().prefect}"
