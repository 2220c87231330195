"""Is an installed environment whole? uv itself only looks at directory names, so every RECORD is checked."""

from __future__ import annotations

import csv
from pathlib import Path


def site_packages(environment: Path) -> Path:
    """The environment's site-packages directory."""
    return next((environment / "lib").glob("python*/site-packages"))


def packages(environment: Path) -> dict[str, str]:
    """Names and versions of the installed distributions, as their directories say."""
    names = (path.name.removesuffix(".dist-info") for path in site_packages(environment).glob("*.dist-info"))
    return {name.replace("_", "-").lower(): version for name, _, version in (name.rpartition("-") for name in names)}


def damages(environment: Path) -> list[str]:
    """What is missing or has another size than its distribution's RECORD says; nothing when all is whole."""
    site = site_packages(environment)
    found = []
    for distribution in sorted(site.glob("*.dist-info")):
        record = distribution / "RECORD"
        if not record.is_file():
            found.append(f"{distribution.name}: no RECORD")
            continue
        with record.open(newline="") as file:
            found += [f"{distribution.name}: {row[0]}" for row in csv.reader(file) if not _whole(site, row)]
    return found


def _whole(site: Path, row: list[str]) -> bool:
    path, _, size = row
    try:
        return not size or (site / path).stat().st_size == int(size)
    except FileNotFoundError:
        return False
