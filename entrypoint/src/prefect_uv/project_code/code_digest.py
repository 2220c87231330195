"""Whether code is the same, by what its files contain: a fresh clone has other times and the same code."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

from prefect_uv.project.lockfile.local_packages import LocalPackage
from prefect_uv.project_code.derived_files import is_derived


def code_digest(packages: Iterable[LocalPackage], key: str) -> str:
    """A name for the code of packages, installed for the environment with this key.

    Every file below their directories counts, but for what is derived from others.
    """
    whole = sha256(key.encode())
    for package in packages:
        whole.update(f"\0{package.name}\0".encode())
        for path in _code_files(package.directory, ()):
            content = path.read_bytes()
            whole.update(os.fsencode(path.relative_to(package.directory)) + f"\0{len(content)}\0".encode() + content)
    return whole.hexdigest()


def _code_files(directory: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    """Files, also those that links lead to, in an order that does not depend on the file system."""
    chain = (*above, directory.resolve())
    for entry in sorted(entry for entry in directory.iterdir() if not is_derived(entry)):
        if entry.is_file():
            yield entry
        elif entry.is_dir() and entry.resolve() not in chain:
            yield from _code_files(entry, chain)
