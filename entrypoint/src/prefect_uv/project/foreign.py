"""Files of other tools: not installed from, but named when there is nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from prefect_uv.project.pyproject import NAME, Pyproject
from prefect_uv.project.start import Start

NAMED = 12
LOCKS = ("poetry.lock", "pdm.lock", "Pipfile.lock", "pixi.lock", "conda-lock.yml", "pylock.toml")
FILES = ("Pipfile", "environment.yml", "environment.yaml", "pixi.toml", "setup.py", "setup.cfg")


def warning(start: Start, places: Iterable[Path]) -> str:
    """What lies where a project is looked for, and is none; empty when there is nothing."""
    found = []
    for place in places:
        found += [start.shown(place / name) for name in (*FILES, *LOCKS) if (place / name).is_file()]
        if document := Pyproject.read(place):
            poetry = " (Poetry's own table is not read)" if "poetry" in document.document.get("tool", {}) else ""
            found.append(f"{start.shown(place / NAME)}, which has no [project] table{poetry}")
    if not found:
        return ""
    return (
        f"not installed from: {'; '.join(found)}. A pyproject.toml with [project] and a uv.lock is, or requirements.txt"
    )


def locks(directory: Path) -> list[str]:
    """Sentences about other tools' locks."""
    return [f"{name} is not read." for name in LOCKS if (directory / name).is_file()]


def described(place: Path) -> str:
    """What is at a path, for people."""
    if place.is_file():
        return f"{place} is a file without a block `# /// script`."
    if place.is_dir():
        return f"{place} has {_listed(place)}."
    parent = next(parent for parent in place.parents if parent.is_dir())
    return f"There is nothing at {place}; {parent} has {_listed(parent)}."


def _listed(directory: Path) -> str:
    names = sorted(entry.name for entry in directory.iterdir())
    return ", ".join([*names[:NAMED], *(["…"] if len(names) > NAMED else [])]) or "no files"
