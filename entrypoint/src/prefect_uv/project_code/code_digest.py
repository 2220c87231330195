"""A digest of code by the contents of its files: a fresh clone has other times, but the same code."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

from prefect_uv.processes.signals import raise_noted_signal
from prefect_uv.project.lockfile.local_packages import LocalPackage
from prefect_uv.project_code.derived_files import is_derived


def code_digest(packages: Iterable[LocalPackage], key: str) -> str:
    """A hexadecimal digest of the packages' code and the key of the environment that it is installed for.

    Every file below the packages' directories counts, except derived ones.
    """
    digest = sha256(key.encode())
    for package in packages:
        digest.update(f"\0{package.name}\0".encode())
        for path in _code_files(package.directory, ()):
            content = path.read_bytes()
            digest.update(os.fsencode(path.relative_to(package.directory)) + f"\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _code_files(directory: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    """The files, through symbolic links but not around loops, in an order that is the same on every file system."""
    raise_noted_signal()
    chain = (*above, directory.resolve())
    for entry in sorted(entry for entry in directory.iterdir() if not is_derived(entry)):
        if entry.is_file():
            yield entry
        elif entry.is_dir() and entry.resolve() not in chain:
            yield from _code_files(entry, chain)
