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


class Interrupted(BaseException):
    """The watch asks the main thread to leave what it is doing and look at the run's state."""


STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
INTERRUPT_SIGNAL = signal.SIGUSR2
SIGNAL_EXIT = 128  # a shell's exit code for signal n is 128 + n


def raise_on_signals() -> None:
    """From now on, the first signal raises in the main thread, and later ones change nothing.

    A signal to stop raises Terminated, the watch's raises Interrupted.
    """

    def stop(signum: int, _frame: FrameType | None) -> None:
        ignore_signals()
        _raise_when_allowed(Interrupted() if signum == INTERRUPT_SIGNAL else Terminated(signum))

    for signum in (*STOP_SIGNALS, INTERRUPT_SIGNAL):
        signal.signal(signum, stop)


_held: list[list[BaseException]] = []


def _raise_when_allowed(reason: BaseException) -> None:
    if not _held:
        raise reason
    _held[-1].append(reason)


@contextmanager
def deferred_signals() -> Iterator[None]:
    """What a signal raises within is raised at the end: a child that is being made must become known first."""
    _held.append([])
    try:
        yield
    finally:
        for reason in _held.pop():
            raise reason


def ignore_signals() -> None:
    """From now on, signals to stop change nothing: we are stopping."""
    for signum in (*STOP_SIGNALS, INTERRUPT_SIGNAL):
        signal.signal(signum, signal.SIG_IGN)


def interrupt_main() -> None:
    """Send the watch's signal to the main thread, also out of a blocking call."""
    signal.pthread_kill(threading.main_thread().ident or 0, INTERRUPT_SIGNAL)
