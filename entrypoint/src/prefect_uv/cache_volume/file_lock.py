"""File locks: flock without waiting, and without failing on file systems that have no locks.

Linux 6.12: flock(2), with what NFS and CIFS make of it. https://man7.org/linux/man-pages/man2/flock.2.html
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def shared_lock(path: Path) -> Iterator[None]:
    """Keep others from holding this file by `exclusive_lock`."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o664)
    try:
        try_lock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def exclusive_lock(path: Path) -> Iterator[bool]:
    """Lock a file without waiting; yields False if another process holds it, by our locks or by uv's own."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o664)
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
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
