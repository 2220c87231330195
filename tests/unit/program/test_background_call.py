"""A call in the background has a result, or none in time."""

from __future__ import annotations

import os
import signal
import threading
from typing import NoReturn

import pytest

from prefect_uv.processes.background_call import BackgroundCall
from prefect_uv.processes.signals import Terminated, note_signals


def fail() -> NoReturn:
    """Fail."""
    raise OSError


def test_result() -> None:
    """The result is what the function returned, as often as it is asked for; a failure has none."""
    call = BackgroundCall(divmod, 7, 2)
    assert [call.result(10), call.result(0)] == [(3, 1), (3, 1)]
    assert BackgroundCall(fail).result(10) is None


def test_no_result_in_time() -> None:
    """What does not return in time has no result yet."""
    released = threading.Event()
    call = BackgroundCall(released.wait, 30)
    assert call.result(0.01) is None
    released.set()
    assert call.result(10) is True


def test_signal_ends_the_wait() -> None:
    """A signal to stop is heard while the main thread waits for a result."""
    released = threading.Event()
    note_signals()
    call = BackgroundCall(released.wait, 30)
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(Terminated):
        call.result(20)
    released.set()
