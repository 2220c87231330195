"""Signals to stop: raised in the main thread, deferred while a child is being started, ignored once we are stopping."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(BaseException):
    """SIGTERM, SIGINT or SIGHUP arrived before the engine was started."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


class StateCheckNeeded(BaseException):
    """The cancellation watch wants the main thread to stop what it is doing and check the run's state."""


SIGNAL_EXIT = 128  # a process killed by signal n exits with 128 + n, as in a shell
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
WATCH_SIGNAL = signal.SIGUSR2


def raise_on_signals() -> None:
    """Make the first signal raise in the main thread and later ones do nothing.

    A signal to stop raises Terminated, that of the cancellation watch raises StateCheckNeeded.
    """

    def stop(signum: int, _frame: FrameType | None) -> None:
        ignore_signals()
        _raise_unless_deferred(StateCheckNeeded() if signum == WATCH_SIGNAL else Terminated(signum))

    for signum in (*STOP_SIGNALS, WATCH_SIGNAL):
        signal.signal(signum, stop)


_deferred: list[list[BaseException]] = []  # one list for each `deferred_signals` that is active


def _raise_unless_deferred(reason: BaseException) -> None:
    if not _deferred:
        raise reason
    _deferred[-1].append(reason)


@contextmanager
def deferred_signals() -> Iterator[None]:
    """Defer what a signal raises to the end of the block: a child that is being started must be known first."""
    _deferred.append([])
    try:
        yield
    finally:
        for reason in _deferred.pop():
            raise reason


def ignore_signals() -> None:
    """Make signals to stop do nothing, because we are already stopping."""
    for signum in (*STOP_SIGNALS, WATCH_SIGNAL):
        signal.signal(signum, signal.SIG_IGN)


def wake_main_thread() -> None:
    """Send WATCH_SIGNAL to the main thread, which wakes it even from a blocking call.

    Before the launch, the handler raises StateCheckNeeded; afterwards, EngineProcess makes a StateChanged event of it.
    """
    signal.pthread_kill(threading.main_thread().ident or 0, WATCH_SIGNAL)
