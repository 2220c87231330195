"""Files that several packages of an environment install, such as those of opencv-python and opencv-python-headless.

The package that is installed last wins. uv 0.13.8 installs packages in parallel, so this may be any of them.
https://github.com/astral-sh/uv/blob/0.13.8/crates/uv-installer/src/installer.rs
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from prefect_uv.environments.build.verification import distributions, read_record


def shared_files(environment: Path) -> frozenset[str]:
    """The files that more than one package of an environment installs."""
    seen: set[str] = set()
    shared: set[str] = set()
    for files in _files_by_package(environment).values():
        shared |= seen & files
        seen |= files
    return frozenset(shared)


def with_sharing_packages(environment: Path, names: Iterable[str]) -> set[str]:
    """These packages of an environment, and all that share a file with one of them, directly or through others."""
    others = _files_by_package(environment)
    found: set[str] = set()
    added = others.keys() & set(names)
    while added:
        found |= added
        files = set().union(*(others.pop(name) for name in added))
        added = {name for name, own in others.items() if not own.isdisjoint(files)}
    return found


def _files_by_package(environment: Path) -> dict[str, set[str]]:
    return {
        name: {path for path, _, _ in read_record(distribution)}
        for name, distribution in distributions(environment).items()
    }
