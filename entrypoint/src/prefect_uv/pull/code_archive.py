"""Archives of code, named by the hash of their contents: kept on the cache volume, and verified at each start.

<cache>/code/v1/<sha256>.tar    a tree of files, not compressed

The hash is that of the tar itself, so it does not matter who wrote the file on the volume, or how the store compresses
it. A start reads one file from the volume instead of many.
"""

from __future__ import annotations

import gzip
import os
import shutil
import stat
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import IO
from uuid import uuid4

from prefect_uv.cache_volume.cache_directory import CODE
from prefect_uv.cache_volume.shared_umask import shared_umask
from prefect_uv.cache_volume.volume import Volume, users_of_volume
from prefect_uv.errors import CodeArchiveError
from prefect_uv.log.run_log import RunLog
from prefect_uv.processes.signals import call_in_thread
from prefect_uv.settings import Settings

IN_MEMORY_BYTES = 32 * 1024 * 1024
ARCHIVE_CHUNK_BYTES = 1024 * 1024
GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class CodeArchive:
    """An archive by its hash, and its place on the cache volume."""

    digest: str
    volume: Volume
    writable: bool
    log: RunLog

    @classmethod
    def of(cls, digest: str, settings: Settings, log: RunLog) -> CodeArchive:
        """The archive with this hash."""
        root = settings.cache_dir
        writable = not settings.cache_readonly and os.access(root, os.W_OK | os.X_OK)
        return cls(digest, Volume(root, users_of_volume(root, settings.cache_trust)), writable, log)

    @property
    def path(self) -> Path:
        """Where the volume has it."""
        return self.volume.root / CODE / f"{self.digest}.tar"

    def restore(self, directory: Path) -> bool:
        """Unpack the archive from the volume; False if it is not there, or not what its name says."""
        name = self.path.name
        try:
            with (
                self.volume.open_directory(self.path.parent) as folder,
                _open_file(name, folder) as kept,
                self.verified(kept) as tree,
            ):
                unpack(tree, directory)
                with suppress(OSError):
                    os.utime(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        except (OSError, CodeArchiveError) as error:
            self.log.warning(f"{self.path} is not used: {error}")
            return False
        return True

    def fetch(self, get: Callable[[IO[bytes]], None], directory: Path, *, keep: bool) -> None:
        """Get the archive as it is in the store, verify it, unpack it, and keep it on the volume if asked to.

        Raises:
            CodeArchiveError: it is not the one that was deployed.
        """
        with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES) as stored:
            get(stored)
            stored.seek(0)
            call_in_thread(self._unpack_and_keep, stored, directory, keep=keep)

    def _unpack_and_keep(self, stored: IO[bytes], directory: Path, *, keep: bool) -> None:
        with self.verified(stored) as tree:
            unpack(tree, directory)
            if keep and self.writable:
                self._keep(tree)

    @contextmanager
    def verified(self, stored: IO[bytes]) -> Iterator[IO[bytes]]:
        """A private copy of the tar, compressed or not, that has the hash.

        Raises:
            CodeArchiveError: it has another one, or cannot be read.
        """
        start = stored.read(2)
        stored.seek(0)
        source: IO[bytes] = gzip.GzipFile(fileobj=stored, mode="rb") if start == GZIP_MAGIC else stored  # type: ignore[assignment]
        hasher = sha256()
        with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES) as tree:
            try:
                while block := source.read(ARCHIVE_CHUNK_BYTES):
                    hasher.update(block)
                    tree.write(block)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise CodeArchiveError(f"The archive of code {self.digest[:12]} is damaged.", str(error)) from None
            if hasher.hexdigest() != self.digest:
                raise CodeArchiveError(
                    f"The archive of code is not {self.digest[:12]}, which was deployed.",
                    f"Its hash is {hasher.hexdigest()}.",
                    "Deploy again, so that push_code stores the code; and find out who has changed the file.",
                )
            tree.seek(0)
            yield tree

    def _keep(self, tree: IO[bytes]) -> None:
        """Write the tar to the volume under a temporary name, and rename it."""
        temporary = f"unfinished-{uuid4().hex}"
        tree.seek(0)
        try:
            with shared_umask():
                self.volume.make_directory(self.path.parent)
                with self.volume.open_directory(self.path.parent) as folder:
                    try:
                        with open(temporary, "xb", opener=partial(os.open, dir_fd=folder, mode=0o666)) as file:
                            shutil.copyfileobj(tree, file, ARCHIVE_CHUNK_BYTES)
                        os.rename(temporary, self.path.name, src_dir_fd=folder, dst_dir_fd=folder)
                    except OSError:
                        with suppress(OSError):
                            os.unlink(temporary, dir_fd=folder)
                        raise
        except OSError as error:
            self.log.warning(f"the archive of code could not be kept in {self.path.parent}: {error}")


def unpack(tree: IO[bytes], directory: Path) -> None:
    """Unpack a tar into a directory, which appears when all of it is there; an earlier one is replaced.

    CPython 3.13: `extractall` resolves the path of each member anew, which takes several times as long.

    Raises:
        CodeArchiveError: the tar has anything but files and links that stay inside.
    """
    unfinished = directory.with_name(f".{directory.name}-{uuid4().hex}")
    unfinished.mkdir(parents=True)
    try:
        with tarfile.open(fileobj=tree, mode="r:") as archive:
            _write_members(archive, unfinished)
        if directory.exists():
            shutil.rmtree(directory)
        unfinished.rename(directory)
    except (tarfile.TarError, FileExistsError) as error:
        raise CodeArchiveError("The archive of code cannot be unpacked.", str(error)) from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write_members(archive: tarfile.TarFile, directory: Path) -> None:
    """Write the files, and then the links, so that nothing is written through a link."""
    root, made, links = str(directory), {""}, []
    for member in archive:
        folder, _, _ = member.name.rpartition("/")
        if not _stays_inside(member.name) or not (member.isreg() or member.issym()):
            raise CodeArchiveError("The archive of code cannot be unpacked.", f"{member.name} is no file inside of it.")
        if folder not in made:
            os.makedirs(f"{root}/{folder}", exist_ok=True)  # noqa: PTH103 (thousands of paths: text is faster)
            made.add(folder)
        if member.issym():
            links.append(member)
            continue
        flags, mode = os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o777 if member.mode & stat.S_IXUSR else 0o666
        with archive.extractfile(member) as source, open(os.open(f"{root}/{member.name}", flags, mode), "wb") as file:  # type: ignore[union-attr] # noqa: PTH123
            shutil.copyfileobj(source, file, ARCHIVE_CHUNK_BYTES)
    for member in links:
        if not _stays_inside(os.path.normpath(f"{member.name}/../{member.linkname}")) or member.linkname[:1] == "/":
            raise CodeArchiveError("The archive of code cannot be unpacked.", f"{member.name} leads out of it.")
        os.symlink(member.linkname, f"{root}/{member.name}")  # noqa: PTH211 (as above)


def _stays_inside(name: str) -> bool:
    return not name.startswith("/") and ".." not in name.split("/")


def _open_file(name: str, folder: int) -> IO[bytes]:
    """Open a regular file of an open directory, not through a link, and nothing that never ends."""
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise PermissionError(f"{name} is not a regular file")
    return os.fdopen(descriptor, "rb")
