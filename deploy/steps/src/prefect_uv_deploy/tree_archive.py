"""Tars of a tree: equal trees give equal bytes, on every machine and with every version of Python."""

from __future__ import annotations

import gzip
import os
import shutil
import stat
import tarfile
import zlib
from collections.abc import Iterable
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import IO
from uuid import uuid4

from prefect_uv_deploy.errors import CodeStoreError, DeployError

# Zip files, and so wheels, have no earlier time; bytecode is told apart by directories, not by times.
TIME = 315532800  # 1980-01-01 00:00 UTC
CHUNK_BYTES = 1024 * 1024
GZIP_MAGIC = b"\x1f\x8b"


def write_tree(directory: Path, names: Iterable[str], target: IO[bytes]) -> str:
    """Write the files as a tar, and return its SHA-256. Of their modes, only the executable bit counts.

    Raises:
        DeployError: a link leads out of the directory.
    """
    hashing = _HashingWriter(target)
    with tarfile.open(fileobj=hashing, mode="w", format=tarfile.GNU_FORMAT) as archive:  # type: ignore[call-overload]
        add_files(archive, directory, names)
    return hashing.digest.hexdigest()


def add_files(archive: tarfile.TarFile, directory: Path, names: Iterable[str], prefix: str = "") -> None:
    """Add files to a tar, in the order of their names.

    Raises:
        DeployError: a link leads out of the directory.
    """
    for name in sorted(names, key=os.fsencode):
        path, entry = directory / name, _entry(prefix + name)
        if path.is_symlink():
            entry.type, entry.linkname = tarfile.SYMTYPE, _checked_link(directory, name)
            archive.addfile(entry)
            continue
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            entry.size = status.st_size
            entry.mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
            archive.addfile(entry, file)


def add_bytes(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file with this content."""
    entry = _entry(name)
    entry.size = len(content)
    archive.addfile(entry, BytesIO(content))


def unpack_verified(stored: IO[bytes], digest: str, directory: Path) -> None:
    """Unpack a tar, compressed or not, that has this hash; the directory appears when all of it is there.

    Raises:
        CodeStoreError: it has another hash, or is damaged.
    """
    start = stored.read(2)
    stored.seek(0)
    unfinished = directory.with_name(f".{directory.name}-{uuid4().hex}")
    unfinished.mkdir()
    tree = unfinished / "tree.tar"
    hasher = sha256()
    try:
        with tree.open("wb") as copy:
            source: IO[bytes] = gzip.GzipFile(fileobj=stored, mode="rb") if start == GZIP_MAGIC else stored  # type: ignore[assignment]
            while block := source.read(CHUNK_BYTES):
                hasher.update(block)
                copy.write(block)
        if hasher.hexdigest() != digest:
            raise CodeStoreError(f"The archive is not {digest}, which was pushed: its hash is {hasher.hexdigest()}.")
        with tarfile.open(tree, mode="r:") as archive:
            # Python 3.10.12: https://docs.python.org/3/library/tarfile.html#supporting-older-python-versions
            options = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            archive.extractall(unfinished / "code", **options)  # type: ignore[arg-type] # noqa: S202 (its hash is known)
        if directory.exists():
            shutil.rmtree(directory)
        (unfinished / "code").rename(directory)
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError) as error:
        raise CodeStoreError(f"The archive {digest} is damaged: {error}") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _entry(name: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.mtime, entry.mode = TIME, 0o644
    return entry


def _checked_link(directory: Path, name: str) -> str:
    target = str((directory / name).readlink())
    inside = os.path.normpath(os.path.join(os.path.dirname(name), target))  # noqa: PTH118, PTH120 (text, as in the link)
    if os.path.isabs(target) or inside == ".." or inside.startswith(f"..{os.sep}"):  # noqa: PTH117
        raise DeployError(f"The link {name} leads to {target}, outside of {directory}: list it in .gitignore.")
    return target


class _HashingWriter:
    """Passes on what is written, and hashes it."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target
        self._written = 0
        self.digest = sha256()

    def write(self, data: bytes) -> int:
        """Write and hash."""
        self.digest.update(data)
        self._written += len(data)
        return self._target.write(data)

    def tell(self) -> int:
        """How much was written, which `tarfile` asks for."""
        return self._written
