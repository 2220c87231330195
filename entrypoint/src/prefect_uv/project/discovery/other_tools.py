"""Files of other tools: not installed from, but named when there is nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from prefect_uv.project.discovery.flow_location import FlowLocation
from prefect_uv.project.files.pyproject import PYPROJECT, Pyproject

LISTED_FILES = 12
OTHER_LOCKFILES = ("poetry.lock", "pdm.lock", "Pipfile.lock", "pixi.lock", "conda-lock.yml", "pylock.toml")
OTHER_FILES = ("Pipfile", "environment.yml", "environment.yaml", "pixi.toml", "setup.py")


def other_tools_warning(location: FlowLocation, places: Iterable[Path]) -> str:
    """What other tools would install from; empty when there is nothing of the kind."""
    found = [place / name for place in places for name in OTHER_FILES if (place / name).is_file()]
    found += [document.directory / PYPROJECT for document in _documents(places) if document.is_poetry]
    if not found:
        return ""
    names = ", ".join(map(location.shown, found))
    return f"nothing is installed from {names}: lock a pyproject.toml with `uv lock`, or write a requirements.txt"


def unread_pyproject_note(location: FlowLocation, places: Iterable[Path]) -> str:
    """A pyproject.toml of tool settings, as the end of a sentence; empty when there is none."""
    found = [
        location.shown(document.directory / PYPROJECT) for document in _documents(places) if not document.is_poetry
    ]
    return f"; no [project] table in {', '.join(found)}" if found else ""


def _documents(places: Iterable[Path]) -> list[Pyproject]:
    return [*filter(None, map(Pyproject.read, places))]


def other_lockfile_notes(directory: Path) -> list[str]:
    """Sentences about other tools' locks."""
    return [f"{name} is not read." for name in OTHER_LOCKFILES if (directory / name).is_file()]


def describe_path(place: Path) -> str:
    """What is at a path, for people."""
    if place.is_file():
        return f"{place} is a file without a block `# /// script`."
    if place.is_dir():
        return f"{place} has {_listed(place)}."
    parent = next(parent for parent in place.parents if parent.is_dir())
    return f"There is nothing at {place}; {parent} has {_listed(parent)}."


def _listed(directory: Path) -> str:
    names = sorted(entry.name for entry in directory.iterdir() if not entry.name.startswith("."))
    return ", ".join([*names[:LISTED_FILES], *(["…"] if len(names) > LISTED_FILES else [])]) or "no files"
