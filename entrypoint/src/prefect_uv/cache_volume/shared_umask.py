"""The umask for files on the volume: containers of arbitrary uids, all of them in group 0, share what is there."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SHARED_UMASK = 0o002


class SharedUmask:
    """The umask of the process, which all of its threads share: the last one that leaves restores it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._before = 0

    def enter(self) -> None:
        """Set it, if no other thread has."""
        with self._lock:
            self._holders += 1
            if self._holders == 1:
                self._before = os.umask(SHARED_UMASK)

    def leave(self) -> None:
        """Restore it, if no other thread needs it any more."""
        with self._lock:
            self._holders -= 1
            if self._holders == 0:
                os.umask(self._before)

    @contextmanager
    def before(self) -> Iterator[int]:
        """The umask without it, for a process that is started meanwhile; -1 if it is not set, for `subprocess`."""
        with self._lock:
            yield self._before if self._holders else -1


_UMASK = SharedUmask()
own_umask = _UMASK.before


@contextmanager
def shared_umask() -> Iterator[None]:
    """Make files written within group-writable, our children's too: containers of arbitrary uids share group 0."""
    _UMASK.enter()
    try:
        yield
    finally:
        _UMASK.leave()
