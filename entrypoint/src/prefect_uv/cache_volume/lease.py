"""Leases: a shared lock on a file in an environment says that the environment is in use.

The engine inherits the descriptor, and the kernel drops the lock when the last process that holds it ends.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from prefect_uv.cache_volume.cache_directory import IN_USE
from prefect_uv.cache_volume.file_lock import open_file, same_file, try_lock
from prefect_uv.cache_volume.volume import LinkFoundError

DISCARD_SECONDS = 2.0
LEASE_POLL_SECONDS = 0.01


def take_lease(environment: Path, *, touch: bool = True) -> int | None:
    """Mark an environment as in use.

    Args:
        environment: its directory; a mirror's works too.
        touch: also note the time of use, which needs a writable volume.

    Returns:
        a descriptor that holds the lease until its last copy is closed; None if the environment does not exist, is
        being discarded, or has a link in the place of the file.
    """
    path = environment / IN_USE
    try:
        descriptor = open_file(path, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError, LinkFoundError):
        return None
    deadline = time.monotonic() + DISCARD_SECONDS
    while not try_lock(descriptor, fcntl.LOCK_SH) and time.monotonic() < deadline:
        time.sleep(LEASE_POLL_SECONDS)
    if not same_file(descriptor, path):
        os.close(descriptor)
        return None
    if touch:
        refresh_lease(descriptor)
    return descriptor


def refresh_lease(descriptor: int) -> None:
    """Note the time of use, for garbage collection on nodes that do not see our locks; a no-op if not permitted."""
    with suppress(OSError):
        os.utime(descriptor)


def last_use(environment: Path) -> float:
    """When the environment was last used, by the volume's clock."""
    path = environment / IN_USE
    return (path if path.exists() else environment).lstat().st_mtime


@contextmanager
def lock_if_unused(environment: Path) -> Iterator[bool]:
    """Keep others from using an environment; yields False if it is in use, or if we cannot tell."""
    try:
        descriptor = open_file(environment / IN_USE, os.O_RDWR)
    except (FileNotFoundError, LinkFoundError):
        yield True
        return
    except OSError:
        yield False
        return
    try:
        yield try_lock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)
