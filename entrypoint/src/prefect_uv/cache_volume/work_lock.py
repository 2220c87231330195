"""Work locks: one process works while the others wait, as far as the file system allows.

A work lock is a flock, which the processes of this node see, and a heartbeat, which every node sees. It only saves
duplicate work: a waiter takes over from a holder that has fallen silent, and goes on without the lock after 15 minutes.
"""

from __future__ import annotations

import fcntl
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from prefect_uv.cache_volume.file_lock import open_file, same_file, try_lock
from prefect_uv.cache_volume.full_disk import naming_path
from prefect_uv.processes.signals import pause

HEARTBEAT_SECONDS = 1.0
STATUS_SECONDS = 10.0
SILENT_SECONDS = 30.0
WAIT_SECONDS = 900.0
LOCK_POLL_SECONDS = 0.05
OTHER_NODE_SECONDS = 120.0
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

LogLine = Callable[[str], None]


class WorkLock:
    """An open file that names the process at work; the kernel drops its flock however the holder dies."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = open_file(path)
        self._stopped = threading.Event()
        self._heartbeat: threading.Thread | None = None

    def take(self) -> bool:
        """Try to take the lock; False too if another process has replaced the file."""
        return try_lock(self.descriptor, fcntl.LOCK_EX) and self.is_current()

    def is_current(self) -> bool:
        """Whether the path still leads to the file that we have open."""
        return same_file(self.descriptor, self.path)

    def sign(self) -> None:
        """Write who we are."""
        os.ftruncate(self.descriptor, 0)
        with naming_path(self.path):
            os.pwrite(self.descriptor, f"{_boot_id()} {socket.gethostname()} {os.getpid()}\n".encode(), 0)

    def start_heartbeat(self, pause: float = HEARTBEAT_SECONDS) -> None:
        """Write who we are, and refresh the file's time until the lock is closed.

        Args:
            pause: the seconds from one refresh to the next.
        """
        self.sign()
        self._heartbeat = threading.Thread(target=self._beat, args=(pause,), daemon=True, name="work-lock")
        self._heartbeat.start()

    def last_heartbeat(self) -> float:
        """When the holder last refreshed the file, by the volume's clock."""
        return os.fstat(self.descriptor).st_mtime

    def holder(self) -> str:
        """The host and process that wrote the file."""
        return " process ".join(self._signature().split()[1:3]) or "unknown"

    def is_of_this_node(self) -> bool:
        """Whether a process of this node wrote the file, so that its flock alone shows whether it lives."""
        return self._signature().startswith(_boot_id())

    def close(self) -> None:
        """Stop the heartbeat and release the lock."""
        self._stopped.set()
        if self._heartbeat is not None:
            self._heartbeat.join()
        os.close(self.descriptor)

    def _signature(self) -> str:
        return os.pread(self.descriptor, 400, 0).decode(errors="replace")

    def _beat(self, pause: float) -> None:
        while not self._stopped.wait(pause):
            with suppress(OSError):
                os.utime(self.descriptor)


@contextmanager
def holding_work_lock(path: Path, is_done: Callable[[], bool], report: LogLine) -> Iterator[None]:
    """Hold a work lock; go on without it once `is_done` says that the work is done, or after a bounded wait."""
    lock = _wait_for_lock(path, is_done, report)
    try:
        yield
    finally:
        if lock is not None:
            lock.close()


def is_abandoned(path: Path, now: float) -> bool:
    """Whether the process that held this lock is gone.

    On this node a free lock proves it; a lock from another node must also have been silent for a while.

    Args:
        path: the lock's file.
        now: the time by the volume's clock.
    """
    try:
        lock = WorkLock(path)
    except OSError:
        return False
    try:
        silent = now - lock.last_heartbeat() > OTHER_NODE_SECONDS
        return (lock.is_of_this_node() or silent) and lock.take()
    finally:
        lock.close()


def _wait_for_lock(path: Path, is_done: Callable[[], bool], report: LogLine) -> WorkLock | None:
    """The lock with its heartbeat started, or None if we go on without it."""
    start = time.monotonic()
    while not is_done() and time.monotonic() < start + WAIT_SECONDS:
        try:
            lock = WorkLock(path)
        except PermissionError:
            return None
        try:
            if lock.take():
                lock.start_heartbeat()
                return lock
            _watch_holder(lock, is_done, report, start)
        except BaseException:
            lock.close()
            raise
        lock.close()
    return None


def _watch_holder(lock: WorkLock, is_done: Callable[[], bool], report: LogLine, start: float) -> None:
    """Return when the lock is free or the work is done; unlink the file of a holder that has fallen silent.

    The caller closes the file and tries to take the lock again.

    A holder is silent if its heartbeat has not changed for a while by our own monotonic clock, so no two clocks are
    compared.
    """
    heartbeat, heard = lock.last_heartbeat(), time.monotonic()
    reported = start
    while lock.is_current() and not is_done() and time.monotonic() < start + WAIT_SECONDS:
        if try_lock(lock.descriptor, fcntl.LOCK_EX):
            return
        now = time.monotonic()
        if lock.last_heartbeat() != heartbeat:
            heartbeat, heard = lock.last_heartbeat(), now
        if now > heard + SILENT_SECONDS:
            report(f"{lock.holder()} has been silent for {now - heard:.0f} s: taking over")
            lock.path.unlink(missing_ok=True)
            return
        if now > reported + STATUS_SECONDS:
            reported = now
            report(f"waited {now - start:.0f} s for {lock.holder()}")
        pause(LOCK_POLL_SECONDS)


def _boot_id() -> str:
    """The node as all its containers see it: on one node, flock alone shows whether the holder lives.

    Linux 2.3.16: https://man7.org/linux/man-pages/man4/random.4.html (boot_id)
    """
    return BOOT_ID.read_text().strip()
