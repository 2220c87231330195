"""Whether code is the same, by what its files contain: a fresh clone has other times and the same code."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

from prefect_uv.project.packages import LocalPackage

DERIVED = {".git", ".venv", "__pycache__", "build", "dist"}


def digest(packages: Iterable[LocalPackage], key: str) -> str:
    """A name for the code of packages, installed for the environment with this key.

    Every file below their directories counts, but for what is derived from others.
    """
    whole = sha256(key.encode())
    for package in packages:
        whole.update(f"\0{package.name}\0".encode())
        for path in _files(package.directory):
            content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
            whole.update(os.fsencode(path.relative_to(package.directory)) + f"\0{len(content)}\0".encode() + content)
    return whole.hexdigest()


def _files(directory: Path) -> Iterator[Path]:
    """Files and links, in an order that does not depend on the file system."""
    for entry in sorted(directory.iterdir()):
        if entry.is_symlink() or entry.is_file():
            yield entry
        elif entry.is_dir() and entry.name not in DERIVED and not entry.name.endswith(".egg-info"):
            yield from _files(entry)
