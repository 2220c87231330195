"""Signals to stop: noted when they arrive, and raised in the main thread where it waits.

No exception leaves a signal handler. There, one may strike inside an import, inside `threading` or in a finalizer, and
leave a lock held, a child process unknown, or nothing at all, because Python drops what a finalizer raises:
https://docs.python.org/3/library/signal.html#handlers-and-exceptions
So whatever keeps the main thread waiting or busy for long uses the functions here, or calls `raise_noted_signal`.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Returned = TypeVar("Returned")


class Terminated(BaseException):
    """A signal to stop arrived before the engine was started."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


class StateCheckNeeded(BaseException):
    """The cancellation watch wants the main thread to stop what it is doing and check the run's state."""


SIGNAL_EXIT = 128  # a process killed by signal n exits with 128 + n, as in a shell
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
WATCH_SIGNAL = signal.SIGUSR2
LOOK_SECONDS = 0.1

_noted: list[int] = []


def note_signals() -> None:
    """Note from now on the signals to stop and that of the cancellation watch, and let in those that are blocked.

    In the image, `env` blocks the signals to stop, so that none is lost before we get here (see Dockerfile.base). Child
    processes inherit what is blocked, so this comes before any of them: https://man7.org/linux/man-pages/man7/signal.7.html
    """
    for signum in (*STOP_SIGNALS, WATCH_SIGNAL):
        signal.signal(signum, _note)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def raise_noted_signal() -> None:
    """Raise what a noted signal means; in any other thread than the main one, do nothing.

    Later signals are ignored, because we are already stopping.

    Raises:
        Terminated: a signal to stop has arrived.
        StateCheckNeeded: only that of the cancellation watch has.
    """
    if not _noted or threading.current_thread() is not threading.main_thread():
        return
    ignore_signals()
    reason = next((signum for signum in _noted if signum != WATCH_SIGNAL), WATCH_SIGNAL)
    _noted.clear()
    raise StateCheckNeeded if reason == WATCH_SIGNAL else Terminated(reason)


def ignore_signals() -> None:
    """Make signals to stop do nothing, because we are already stopping."""
    for signum in (*STOP_SIGNALS, WATCH_SIGNAL):
        signal.signal(signum, signal.SIG_IGN)


def pause(seconds: float) -> None:
    """Sleep; a signal ends it as `raise_noted_signal` does."""
    deadline = time.monotonic() + seconds
    raise_noted_signal()
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(min(left, LOOK_SECONDS))
        raise_noted_signal()


def join_thread(thread: threading.Thread, seconds: float = math.inf) -> None:
    """Wait for a thread to end; a signal ends the wait as `raise_noted_signal` does, and the thread goes on.

    Args:
        thread: the thread.
        seconds: how long to wait at most.
    """
    deadline = time.monotonic() + seconds
    raise_noted_signal()
    while thread.is_alive() and (left := deadline - time.monotonic()) > 0:
        thread.join(min(left, LOOK_SECONDS))
        raise_noted_signal()


def call_in_thread(
    function: Callable[Arguments, Returned], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Returned:
    """Call a function that may block for long; a signal ends the wait for it, and the call is abandoned.

    Outside the main thread, which alone gets signals, the function is called directly.
    """
    if threading.current_thread() is not threading.main_thread():
        return function(*args, **kwargs)
    raise_noted_signal()
    returned: list[Returned] = []
    raised: list[BaseException] = []

    def call() -> None:
        try:
            returned.append(function(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 (raised again in the main thread)
            raised.append(error)

    thread = threading.Thread(target=call, daemon=True, name="call")
    thread.start()
    join_thread(thread)
    for error in raised:
        raise error
    return returned[0]


def call_on_signals(function: Callable[[], None]) -> None:
    """Make each signal to stop call a function, because we are already stopping and it can make that quicker."""
    for signum in STOP_SIGNALS:
        signal.signal(signum, lambda _signum, _frame: function())
    signal.signal(WATCH_SIGNAL, signal.SIG_IGN)
    if _noted:
        _noted.clear()
        function()


@contextmanager
def also_on_signals(function: Callable[[], None]) -> Iterator[None]:
    """Let each signal to stop call a function during the block, in addition to what it does otherwise."""
    before = {signum: signal.getsignal(signum) for signum in STOP_SIGNALS}

    def handle(signum: int, frame: FrameType | None) -> None:
        function()
        handler = before[signal.Signals(signum)]
        if callable(handler):
            handler(signum, frame)

    for signum in STOP_SIGNALS:
        signal.signal(signum, handle)
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def wake_main_thread() -> None:
    """Send WATCH_SIGNAL to the main thread, which wakes it even from a blocking call.

    Before the launch, it is noted and raises StateCheckNeeded; afterwards, EngineProcess makes a StateChanged event.
    """
    signal.pthread_kill(threading.main_thread().ident or 0, WATCH_SIGNAL)


def _note(signum: int, _frame: FrameType | None) -> None:
    _noted.append(signum)
