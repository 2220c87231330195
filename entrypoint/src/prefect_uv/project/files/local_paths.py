"""What is installed from this machine without a lock: directories of source code, wheels and other archives."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from prefect_uv.errors import DependencyUnreachableError
from prefect_uv.project.files.input_files import InputFiles, read_inputs
from prefect_uv.project.files.pyproject import PYPROJECT
from prefect_uv.project.files.toml_tables import Table, read_toml, table_at


def path_sources(document: Table, directory: Path) -> list[Path]:
    """Where a project's or a script's [tool.uv.sources] lead to on this machine."""
    values = table_at(document, "tool", "uv", "sources").values()
    entries = [entry for value in values for entry in (value if isinstance(value, list) else [value])]
    paths = [entry.get("path") for entry in entries if isinstance(entry, Mapping)]
    return [directory / path for path in paths if isinstance(path, str)]


def require_path(place: Path, origin: object, written: str) -> Path:
    """A place that must be there.

    Raises:
        DependencyUnreachableError: it is not.
    """
    if not place.exists():
        raise DependencyUnreachableError(
            f"{origin} installs {written}, which was not pulled.",
            f"There is nothing at {place.resolve()}.",
            "Let the pull steps bring it, or take the line out.",
        )
    return place.resolve()


def with_path_dependencies(places: Iterable[Path]) -> tuple[Path, ...]:
    """Places, and those that the directories among them depend on."""
    found: dict[Path, None] = {}
    waiting = [*places]
    while waiting:
        place = waiting.pop(0).resolve()
        if place not in found and place.exists():
            found[place] = None
            waiting += path_sources(read_toml(place / PYPROJECT), place)
    return tuple(found)


def only_directories(places: Iterable[Path]) -> list[Path]:
    """Source code: imported from where it is."""
    return [place for place in places if place.is_dir()]


def read_local_paths(root: Path, places: Iterable[Path]) -> InputFiles:
    """What of them can change what is installed: an archive's content, a directory's metadata."""
    chosen = [*places]
    archives = ((f"/{os.path.relpath(file, root)}", _file_digest(file)) for file in chosen if file.is_file())
    return (*read_inputs(root, (), only_directories(chosen)), *archives)


def _file_digest(file: Path) -> bytes:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").digest()
