"""Staying as the engine's parent: exactly one signal goes on to it, its exit code comes back."""

from __future__ import annotations

import signal
import subprocess
from types import FrameType

from prefect_uv.engine.launch import Launch
from prefect_uv.process import STOP_SIGNALS
from prefect_uv.session import Session

KILLED = 128


class OneSignal:
    """Hands the first signal to stop on to the engine, as SIGTERM, and keeps all others from it.

    Two would break every Prefect engine. One that arrives before the engine exists is handed on when it does.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._arrived = self._sent = False
        for signum in STOP_SIGNALS:
            signal.signal(signum, self)

    def __call__(self, _signum: int, _frame: FrameType | None) -> None:
        """The signal handler."""
        self._arrived = True
        self._send()

    def attach(self, process: subprocess.Popen[bytes]) -> None:
        """From now on there is somebody to signal."""
        self._process = process
        self._send()

    def _send(self) -> None:
        if self._arrived and self._process is not None and not self._sent:
            self._sent = True
            self._process.send_signal(signal.SIGTERM)


def supervise(launch: Launch, session: Session) -> int:
    """Start the engine and wait for its end; with PREFECT_UV_SUPERVISE=false, become the engine.

    Returns:
        its exit code; 128 + n when signal n killed it.
    """
    if not session.settings.supervise:
        session.log.warning(
            "PREFECT_UV_SUPERVISE=false: cancellation, crashes and evictions of this run are not handled"
        )
        session.log.close()
        launch.replace()
    one_signal = OneSignal()
    process = launch.start()
    one_signal.attach(process)
    code = process.wait()
    return code if code >= 0 else KILLED - code
