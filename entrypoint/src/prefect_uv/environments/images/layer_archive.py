"""A layer as a file: written so that equal files give equal bytes, and unpacked without leaving its directory.

https://github.com/opencontainers/image-spec/blob/v1.1.0/layer.md
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import stat
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple, Protocol, cast

from prefect_uv.cache_volume.full_disk import naming_path
from prefect_uv.errors import ImageInvalidError
from prefect_uv.processes.signals import raise_noted_signal
from prefect_uv.registry.image_documents import OCI_LAYER, Blob

FILE_TIME = 315532800
"""The time of every file: 1980, the first year that archives of every kind can have."""
COMPRESSION_LEVEL = 6
WHITEOUT = ".wh."
COPY_BYTES = 1 << 18


class WrittenLayer(NamedTuple):
    """A layer in a file: what the manifest says about it, and the digest of its uncompressed form."""

    blob: Blob
    diff_id: str


def write_layer(root: Path, paths: Sequence[str], target: Path) -> WrittenLayer:
    """Write files of a directory, with the directories above them, into a layer.

    Owners, times, and modes beyond "executable" are the same for all files.

    Args:
        root: the directory.
        paths: files and symbolic links below it.
        target: the file to write.
    """
    parents = {str(parent) for path in paths for parent in PurePosixPath(path).parents} - {"."}
    with naming_path(target), target.open("wb") as file:
        compressed = _Hashing(file)
        with gzip.GzipFile("", "wb", COMPRESSION_LEVEL, cast("IO[bytes]", compressed), mtime=0) as packed:
            plain = _Hashing(packed)
            with tarfile.open(fileobj=cast("IO[bytes]", plain), mode="w|", format=tarfile.PAX_FORMAT) as archive:
                for path in sorted({*parents, *paths}):
                    raise_noted_signal()
                    _add(archive, root, path)
    return WrittenLayer(Blob(OCI_LAYER, compressed.digest, compressed.size), plain.digest)


class Unpacking:
    """Unpacks layers into a directory that only we write to; a file that is there already is not replaced.

    Nothing is written through a symbolic link: an archive may contain one, and then a file behind it.
    """

    def __init__(self, directory: Path, image: str) -> None:
        """`image` is the image's name, for errors."""
        self._directory = directory
        self._image = image
        self._made = {""}

    def unpack(self, layer: Path) -> None:
        """Unpack a layer.

        Raises:
            ImageInvalidError: it is damaged, or contains something else than files, directories and symbolic links, or
                a path that leads out of the directory.
        """
        try:
            with gzip.open(layer) as content:
                with tarfile.open(fileobj=content, mode="r|") as archive:
                    self._extract_all(archive)
                while content.read(COPY_BYTES):  # gzip's checksum is at the end
                    pass
        except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ImageInvalidError(f"A layer of {self._image} is damaged: {error}.") from None

    def _extract_all(self, archive: tarfile.TarFile) -> None:
        for entry in archive:
            raise_noted_signal()
            if problem := self._extract(archive, entry):
                raise ImageInvalidError(f"{self._image} is no exported environment: {entry.name!r} {problem}.")

    def _extract(self, archive: tarfile.TarFile, entry: tarfile.TarInfo) -> str:
        """Extract an entry; returns what is wrong with it, empty if nothing is.

        There are thousands of files: strings take a third of the time of paths.
        """
        parent, _, name = entry.name.rpartition("/")
        if entry.name.startswith("/") or ".." in entry.name.split("/") or name.startswith(WHITEOUT):
            return "leads out of it, or removes something"
        if not self._make_directory(entry.name if entry.isdir() else parent):
            return "is behind a file or a symbolic link"
        target = f"{self._directory}/{entry.name}"
        try:
            if entry.issym():
                os.symlink(entry.linkname, target)  # noqa: PTH211
            elif not entry.isdir():
                content = archive.extractfile(entry) if entry.isreg() else None
                if content is None:
                    return "is neither a file nor a directory"
                _write_content(content, target, 0o777 if entry.mode & stat.S_IXUSR else 0o666)
        except FileExistsError:
            return "is there twice"
        except ValueError:
            return "has a name that no file can have"
        return ""

    def _make_directory(self, path: str) -> bool:
        """Make a directory and those above it; False if there is a file or a link in the place of one."""
        path = path.rstrip("/")
        if path in self._made:
            return True
        if not self._make_directory(path.rpartition("/")[0]):
            return False
        try:
            os.mkdir(f"{self._directory}/{path}")  # noqa: PTH102
        except FileExistsError:
            return False
        self._made.add(path)
        return True


def _add(archive: tarfile.TarFile, root: Path, path: str) -> None:
    status = (root / path).lstat()
    entry = tarfile.TarInfo(path)
    entry.mtime = FILE_TIME
    entry.mode = 0o755 if stat.S_ISDIR(status.st_mode) or status.st_mode & stat.S_IXUSR else 0o644
    if stat.S_ISREG(status.st_mode):
        entry.size = status.st_size
        with (root / path).open("rb") as file:
            archive.addfile(entry, file)
        return
    if stat.S_ISLNK(status.st_mode):
        entry.type, entry.mode, entry.linkname = tarfile.SYMTYPE, 0o777, os.readlink(root / path)  # noqa: PTH115 (as text)
    else:
        entry.type = tarfile.DIRTYPE
    archive.addfile(entry)


def _write_content(content: IO[bytes], target: str, mode: int) -> None:
    """Write a new file; its directory is known to be one, so nothing is followed."""

    def create(path: str, flags: int) -> int:
        return os.open(path, flags, mode)

    with naming_path(Path(target)), open(target, "xb", opener=create) as file:
        shutil.copyfileobj(content, file, COPY_BYTES)


class _Sink(Protocol):
    def write(self, data: bytes, /) -> int: ...

    def flush(self) -> None: ...


class _Hashing:
    """A file that counts and hashes what is written to it."""

    def __init__(self, file: _Sink) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        self.size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()
