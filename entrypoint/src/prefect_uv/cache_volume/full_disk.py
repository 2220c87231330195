"""Which file system is full: the path in an error or in a tool's report says it, not what we were doing.

The garbage of the cache volume is collected only if the volume itself is full.
"""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect_uv.errors import DiskFullError, VolumeFullError

DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
MEGABYTE = 1_000_000
_WORDS = re.compile(r"No space left on device|Disk quota exceeded|os error (?:28|122)\b")
_PATH = re.compile(r"[`'\"](/[^`'\"]+)[`'\"]|(/[^\s`'\":,;]+)")


def says_disk_full(report: str) -> bool:
    """Whether a tool's report says that no space, no inode or no quota is left."""
    return bool(_WORDS.search(report))


def is_disk_full(error: OSError) -> bool:
    """Whether no space, no inode or no quota is left; `shutil.Error` has that only in its text."""
    return error.errno in DISK_FULL or (error.errno is None and says_disk_full(str(error)))


@contextmanager
def full_disk_as_error(volume: Path) -> Iterator[None]:
    """Turn the system's errors about a full disk into ours.

    Raises:
        VolumeFullError, DiskFullError: no space is left on the cache volume, or on another file system.
    """
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise explain_disk_full(error, volume) from None


@contextmanager
def naming_path(path: Path) -> Iterator[None]:
    """Name a path in the system's error about a write, which names none."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def write_file(path: Path, text: str) -> None:
    """Write a text file; an error names it."""
    with naming_path(path):
        path.write_text(text)


def explain_disk_full(error: OSError, volume: Path) -> VolumeFullError:
    """The error for a call that found no space. Of two paths, the second was to be written."""
    named = error.filename2 or error.filename
    path = Path(os.fsdecode(named)) if isinstance(named, str | bytes) else reported_path(str(error))
    return disk_full_error(path, str(error), volume)


def disk_full_error(path: Path | None, found: str, volume: Path) -> VolumeFullError:
    """The error for a path that could not be written.

    Args:
        path: the path; None if it is not known, which means the file system with the least space.
        found: the details.
        volume: the cache directory.

    Returns:
        VolumeFullError only if the path is on the file system of the cache directory.
    """
    if path is None:
        path = min((volume, Path(tempfile.gettempdir()), Path.home(), Path.cwd()), key=_free_bytes)
    if _device(path) == _device(volume):
        return VolumeFullError(
            f"No space is left on {volume}.",
            f"{found}\n{describe_space(volume)}",
            "Enlarge the cache volume, or set PREFECT_UV_CACHE_LIMIT so that old environments are removed sooner.",
        )
    return DiskFullError(
        f"No space is left on {mount_point(path)}.",
        f"{found}\n{describe_space(path)}",
        "Enlarge it (`size` of a tmpfs, `sizeLimit` of an emptyDir, else the container's ephemeral storage), or set"
        " TMPDIR to a directory with more space.",
    )


def reported_path(report: str) -> Path | None:
    """The path that a report of a full disk names: the last one before the words, else the last one after them.

    A program that reports begins its line with its own path, as a linker does; that is not the one.
    """
    for line in report.splitlines():
        if words := _WORDS.search(line):
            for part in (line[: words.start()], line[words.end() :]):
                paths = [Path(quoted or bare) for quoted, bare in _PATH.findall(part)]
                if written := [path for path in paths if not (path.is_file() and os.access(path, os.X_OK))]:
                    return written[-1]
    return None


def mount_point(path: Path) -> Path:
    """The mount point of the file system that a path is on, or would be on."""
    existing = _existing(path)
    return next(parent for parent in (existing, *existing.parents) if parent.is_mount())


def describe_space(path: Path) -> str:
    """How much is free, such as `/tmp: 0 of 64 MB and 12 of 4096 inodes are free`."""
    status = os.statvfs(_existing(path))
    free, size = (blocks * status.f_frsize // MEGABYTE for blocks in (status.f_bavail, status.f_blocks))
    inodes = f" and {status.f_favail} of {status.f_files} inodes" if status.f_files else ""
    return f"{mount_point(path)}: {free} of {size} MB{inodes} are free"


def has_space(path: Path) -> bool:
    """Whether a megabyte and an inode are free on the file system that a path is on."""
    return _free_bytes(path) > MEGABYTE


def _existing(path: Path) -> Path:
    path = path.absolute()
    return next(parent for parent in (path, *path.parents) if parent.exists()).resolve()


def _device(path: Path) -> int:
    return _existing(path).stat().st_dev


def _free_bytes(path: Path) -> int:
    status = os.statvfs(_existing(path))
    return status.f_bavail * status.f_frsize if status.f_favail or not status.f_files else 0
