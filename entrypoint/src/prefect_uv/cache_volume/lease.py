"""In use: a shared lock on a file in the environment, inherited by the engine and dropped by the kernel with it."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from prefect_uv.cache_volume.cache_directory import IN_USE
from prefect_uv.cache_volume.work_lock import same_file, try_lock

MOVING_SECONDS = 2.0
LEASE_POLL_SECONDS = 0.01


def take_lease(environment: Path, *, touch: bool = True) -> int | None:
    """Take an environment into use.

    Returns:
        a descriptor that holds it as long as anybody has it open; nothing when the environment is not there, or goes.
    """
    path = environment / IN_USE
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    deadline = time.monotonic() + MOVING_SECONDS
    while not try_lock(descriptor, fcntl.LOCK_SH) and time.monotonic() < deadline:
        time.sleep(LEASE_POLL_SECONDS)
    if not same_file(descriptor, path):
        os.close(descriptor)
        return None
    if touch:
        refresh_lease(descriptor)
    return descriptor


def refresh_lease(descriptor: int) -> None:
    """Note the use, for the garbage collection of nodes that do not see our locks; where we may not write, do not."""
    with suppress(OSError):
        os.utime(descriptor)


def last_use(environment: Path) -> float:
    """When it was last taken into use, by the volume's clock."""
    path = environment / IN_USE
    return (path if path.exists() else environment).stat().st_mtime


@contextmanager
def unused(environment: Path) -> Iterator[bool]:
    """Whether nobody uses an environment, and nobody begins to while this lasts."""
    try:
        descriptor = os.open(environment / IN_USE, os.O_RDWR)
    except FileNotFoundError:
        yield True
        return
    except OSError:
        yield False
        return
    try:
        yield try_lock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)
