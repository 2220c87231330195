"""One at a time, as far as the file system allows: a claim is a flock for this node and a heartbeat for all.

A claim only saves double work. Whoever waits for one goes on without it when the holder is silent or the wait too long.
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

BEAT_SECONDS = 1.0
SAY_EVERY_SECONDS = 10.0
SILENT_SECONDS = 30.0
WAIT_SECONDS = 900.0
LOCK_POLL_SECONDS = 0.05
FOREIGN_SECONDS = 120.0
BOOT = Path("/proc/sys/kernel/random/boot_id")

LogLine = Callable[[str], None]


class WorkLock:
    """An open file that says who is at work; the kernel drops the lock however its holder dies."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o664)
        self._stop = threading.Event()
        self._beat: threading.Thread | None = None

    def take(self) -> bool:
        """Try to get it; a file that somebody replaced meanwhile is not it."""
        return try_lock(self.descriptor, fcntl.LOCK_EX) and self.is_current()

    def is_current(self) -> bool:
        """Whether the path still leads to the file that we hold open."""
        return same_file(self.descriptor, self.path)

    def start(self, say: LogLine | None = None) -> None:
        """Write who we are and begin to beat."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, f"{_boot()} {socket.gethostname()} {os.getpid()}\n".encode(), 0)
        self._beat = threading.Thread(target=self._beat_on, args=(say,), daemon=True, name="claim")
        self._beat.start()

    def beat(self) -> float:
        """When the holder was last heard, by the volume's clock."""
        return os.fstat(self.descriptor).st_mtime

    def holder(self) -> str:
        """The host and process that wrote the claim."""
        words = os.pread(self.descriptor, 400, 0).decode(errors="replace").split()
        return " process ".join(words[1:3]) or "unknown"

    def close(self) -> None:
        """Stop the heartbeat and let go."""
        self._stop.set()
        if self._beat is not None:
            self._beat.join()
        os.close(self.descriptor)

    def _beat_on(self, say: LogLine | None) -> None:
        start = said = time.monotonic()
        while not self._stop.wait(BEAT_SECONDS):
            with suppress(OSError):
                os.utime(self.descriptor)
            if say and time.monotonic() > said + SAY_EVERY_SECONDS:
                said = time.monotonic()
                say(f"still working after {said - start:.0f} s")


@contextmanager
def holding_work_lock(path: Path, ready: Callable[[], bool], say: LogLine) -> Iterator[None]:
    """Hold the claim, or go on without it: when `ready` says that the work is done, or after a bounded wait."""
    claim = _wait(path, ready, say)
    try:
        yield
    finally:
        if claim is not None:
            claim.close()


@contextmanager
def shared_lock(path: Path) -> Iterator[None]:
    """Keep others from `alone` on this file meanwhile."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o664)
    try:
        try_lock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def exclusive_lock(path: Path) -> Iterator[bool]:
    """Whether nobody holds this file, `shared` or by uv's own lock, and nobody gets it meanwhile."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o664)
    try:
        yield try_lock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def is_abandoned(path: Path, now: float) -> bool:
    """Whether nobody works under this claim any more: its lock is free and, from another node, its heartbeat old."""
    try:
        claim = WorkLock(path)
    except OSError:
        return False
    try:
        near = os.pread(claim.descriptor, 400, 0).decode(errors="replace").startswith(_boot())
        return (near or now - claim.beat() > FOREIGN_SECONDS) and claim.take()
    finally:
        claim.close()


def try_lock(descriptor: int, kind: int) -> bool:
    """Try to lock; a file system without locks gives everybody what they ask for."""
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


def _wait(path: Path, ready: Callable[[], bool], say: LogLine) -> WorkLock | None:
    """The claim, or nothing when we go on without it."""
    start = time.monotonic()
    while not ready() and time.monotonic() < start + WAIT_SECONDS:
        try:
            claim = WorkLock(path)
        except PermissionError:
            return None
        try:
            if claim.take():
                claim.start(say)
                return claim
            _watch(claim, ready, say, start)
        except BaseException:
            claim.close()
            raise
        claim.close()
    return None


def _watch(claim: WorkLock, ready: Callable[[], bool], say: LogLine, start: float) -> None:
    """Return when the lock is free or the work is done; pass over a silent holder by taking its file away.

    Silence is a heartbeat that does not change for a while by our own monotonic clock: no two clocks are compared.
    """
    beat, heard = claim.beat(), time.monotonic()
    said = start
    while claim.is_current() and not ready() and time.monotonic() < start + WAIT_SECONDS:
        if try_lock(claim.descriptor, fcntl.LOCK_EX):
            return
        now = time.monotonic()
        if claim.beat() != beat:
            beat, heard = claim.beat(), now
        if now > heard + SILENT_SECONDS:
            say(f"{claim.holder()} has been silent for {now - heard:.0f} s: taking over")
            claim.path.unlink(missing_ok=True)
            return
        if now > said + SAY_EVERY_SECONDS:
            said = now
            say(f"waited {now - start:.0f} s for {claim.holder()}")
        time.sleep(LOCK_POLL_SECONDS)


def _boot() -> str:
    """The node, as all its containers see it: on the same one, flock alone tells the living from the dead."""
    return BOOT.read_text().strip()
