"""Files of other tools. Nothing is installed from them, but messages name them if there is nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from prefect_uv.project.discovery.flow_location import FlowLocation
from prefect_uv.project.files.pyproject import PYPROJECT, Pyproject

LISTED_FILES = 12
OTHER_FILES = ("Pipfile", "environment.yml", "environment.yaml", "pixi.toml", "setup.py")


def other_tools_warning(location: FlowLocation, directories: Iterable[Path]) -> str:
    """A warning that names the files that other tools would install from; empty if there are none."""
    found = [directory / name for directory in directories for name in OTHER_FILES if (directory / name).is_file()]
    found += [document.directory / PYPROJECT for document in _documents(directories) if document.is_poetry]
    if not found:
        return ""
    names = ", ".join(map(location.display_path, found))
    return f"nothing is installed from {names}: add a pyproject.toml and run `uv lock`, or add a requirements.txt"


def unread_pyproject_note(location: FlowLocation, directories: Iterable[Path]) -> str:
    """The end of a sentence that names each pyproject.toml without a project; empty if there are none."""
    found = [
        location.display_path(document.directory / PYPROJECT)
        for document in _documents(directories)
        if not document.is_poetry
    ]
    return f"; no [project] table in {', '.join(found)}" if found else ""


def _documents(directories: Iterable[Path]) -> list[Pyproject]:
    return [*filter(None, map(Pyproject.read, directories))]


def describe_path(path: Path) -> str:
    """Say in one sentence what is at a path."""
    if path.is_file():
        return f"{path} is a file without a `# /// script` block."
    if path.is_dir():
        return f"{path} has {_listing(path)}."
    parent = next(parent for parent in path.parents if parent.is_dir())
    return f"{path} does not exist; {parent} has {_listing(parent)}."


def _listing(directory: Path) -> str:
    names = sorted(entry.name for entry in directory.iterdir() if not entry.name.startswith("."))
    return ", ".join([*names[:LISTED_FILES], *(["…"] if len(names) > LISTED_FILES else [])]) or "no files"
