"""What is installed from the pulled files without a lock: directories of source code, wheels and other archives."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from prefect_uv.errors import LocalDependencyMissingError
from prefect_uv.project.files.input_files import InputFiles, read_inputs
from prefect_uv.project.files.pyproject import PYPROJECT
from prefect_uv.project.files.toml_tables import Table, read_toml, table_at


def path_sources(document: Table, directory: Path) -> list[Path]:
    """The paths in the [tool.uv.sources] of a project or a script.

    uv 0.13.8: https://docs.astral.sh/uv/concepts/projects/dependencies/#path

    Args:
        document: the parsed pyproject.toml or block.
        directory: the directory that its paths are relative to.
    """
    values = table_at(document, "tool", "uv", "sources").values()
    entries = [entry for value in values for entry in (value if isinstance(value, list) else [value])]
    paths = [entry.get("path") for entry in entries if isinstance(entry, Mapping)]
    return [directory / path for path in paths if isinstance(path, str)]


def require_path(path: Path, origin: object, written: str) -> Path:
    """Resolve a path that must exist.

    Args:
        path: the path.
        origin: what names it, for the error.
        written: how it is written there.

    Raises:
        LocalDependencyMissingError: it does not exist.
    """
    if not path.exists():
        raise LocalDependencyMissingError(
            f"{origin} installs {written}, which was not pulled.",
            f"{path.resolve()} does not exist.",
            "Pull it with the code, or remove the line.",
        )
    return path.resolve()


def with_path_dependencies(paths: Iterable[Path]) -> tuple[Path, ...]:
    """The paths, and those that the directories among them depend on by their sources."""
    reached: dict[Path, None] = {}
    waiting = [*paths]
    while waiting:
        path = waiting.pop(0).resolve()
        if path not in reached and path.exists():
            reached[path] = None
            waiting += path_sources(read_toml(path / PYPROJECT), path)
    return tuple(reached)


def only_directories(paths: Iterable[Path]) -> list[Path]:
    """The paths that are directories: source code that is imported from where it is."""
    return [path for path in paths if path.is_dir()]


def read_local_paths(root: Path, paths: Iterable[Path]) -> InputFiles:
    """What can change what is installed from the paths: an archive's digest, or a directory's metadata files.

    Names are relative to `root`.
    """
    listed = [*paths]
    archives = ((f"/{os.path.relpath(file, root)}", _file_digest(file)) for file in listed if file.is_file())
    return (*read_inputs(root, (), only_directories(listed)), *archives)


def _file_digest(file: Path) -> bytes:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").digest()
