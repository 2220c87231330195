"""File locks: flock without waiting, and without failing on file systems that have no locks.

Linux 6.12: flock(2), with what NFS and CIFS make of it. https://man7.org/linux/man-pages/man2/flock.2.html
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect_uv.cache_volume.volume import LinkFoundError


def open_file(path: Path, flags: int = os.O_RDWR | os.O_CREAT) -> int:
    """Open a file on the volume; never the target of a link that somebody has put in its place.

    Raises:
        LinkFoundError: it is a link.
    """
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o664)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise LinkFoundError(path) from None


def touch_file(path: Path) -> None:
    """Set a file's time to now, and create it if necessary."""
    descriptor = open_file(path)
    try:
        os.utime(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def shared_lock(path: Path) -> Iterator[None]:
    """Keep others from holding this file by `exclusive_lock`."""
    descriptor = open_file(path)
    try:
        try_lock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def exclusive_lock(path: Path) -> Iterator[bool]:
    """Lock a file without waiting; yields False if another process holds it, by our locks or by uv's own."""
    descriptor = open_file(path)
    try:
        yield try_lock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def try_lock(descriptor: int, kind: int) -> bool:
    """Try to lock without waiting; always True on a file system without locks."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def same_file(descriptor: int, path: Path) -> bool:
    """Whether a path leads to an open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
