"""The launched process: started, sent one SIGTERM at most, waited for, and everything below it killed in the end.

Whatever happens to the process, to the run or to us arrives as an event in one queue, which the supervisor reads.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import FrameType

from prefect_uv.engine.flow_processes import FlowProcesses
from prefect_uv.engine.launch import Launch
from prefect_uv.engine.start_up.engine_start import RUN_MODULE
from prefect_uv.processes import process_tree
from prefect_uv.processes.signals import SIGNAL_EXIT, STOP_SIGNALS, WATCH_SIGNAL, raise_noted_signal

TAIL_BYTES = 8192
CHUNK_BYTES = 65536
DRAIN_SECONDS = 1.0
HURRY_SECONDS = 5.0
KILL_AGAIN_SECONDS = 1.0


@dataclass(frozen=True)
class ProcessEnded:
    """The process has ended; a negative code is the signal that killed it."""

    code: int


@dataclass(frozen=True)
class StopSignalled:
    """We received a signal to stop."""

    signum: int


@dataclass(frozen=True)
class StateChanged:
    """The cancellation watch saw the run cancelled or in a final state."""


@dataclass(frozen=True)
class EndReported:
    """The engine reported the run's final state and is about to exit."""


Event = ProcessEnded | StopSignalled | StateChanged | EndReported


class EngineProcess:
    """A process in its own session, so that signals to our process group do not reach it.

    Each signal to stop, also after the process has ended, becomes an event, and calls `on_stop_signal` in the handler.

    Attributes:
        code: its exit code, or 128 + n if signal n killed it; None while it runs.
        tail: the last bytes that it and its children wrote to stderr; empty if stderr is a terminal.
    """

    def __init__(
        self, launch: Launch, environ: dict[str, str], on_stop_signal: Callable[[], None] = lambda: None
    ) -> None:
        self.code: int | None = None
        self.tail = b""
        self._launch = launch
        self._flow_processes: FlowProcesses | None = None
        self._on_stop_signal = on_stop_signal
        self._events: SimpleQueue[Event] = SimpleQueue()
        for signum in (*STOP_SIGNALS, WATCH_SIGNAL):
            signal.signal(signum, self._arrived)
        raise_noted_signal()
        piped = not os.isatty(sys.stderr.fileno())
        process_tree.adopt_orphans()
        self._process = launch.start(environ, subprocess.PIPE if piped else None)
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._pass_on, daemon=True, name="stderr")
        self._reader.start()
        threading.Thread(target=self._reap, daemon=True, name="reaper").start()

    def post(self, event: Event) -> None:
        """Add an event from another thread."""
        self._events.put(event)

    def next(self, deadline: float | None = None) -> Event | None:
        """The next event; None if the deadline (on the monotonic clock) passes first."""
        try:
            event = self._events.get(timeout=None if deadline is None else max(0.0, deadline - time.monotonic()))
        except Empty:
            return None
        if isinstance(event, ProcessEnded):
            self.code = event.code if event.code >= 0 else SIGNAL_EXIT - event.code
        return event

    def terminate(self) -> None:
        """Send SIGTERM, once in the life of the process; later calls do nothing. `finish` tells the flow's processes.

        The engine's handler raises, and a second signal would interrupt its clean-up (Prefect 3.8.8, `capture_sigterm`:
        https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/utilities/engine/__init__.py). `uv run` forwards it
        (uv 0.13.8: https://docs.astral.sh/uv/concepts/projects/run/#signal-handling); a wrapper may not, so it gets
        none.
        """
        if self._flow_processes is None and self.code is None:
            engine = self._engine()
            self._flow_processes = FlowProcesses(engine)
            with suppress(ProcessLookupError):
                os.kill(engine if self._launch.wrapped else self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to the process and everything below it."""
        if self.code is None:
            process_tree.kill_all()

    def finish(self, grace: float, report: Callable[[str], None]) -> float | None:
        """Wait for the process to end, kill it after the grace period (seconds), and kill what it left behind.

        A signal to stop shortens the grace period, because its sender will not wait long.

        Args:
            grace: the grace period.
            report: gets a line if other processes of the flow had to be killed.

        Returns:
            The seconds after which the process was killed; None if it ended on its own.
        """
        start = time.monotonic()
        deadline = start + grace
        while self.code is None and time.monotonic() < deadline:
            due = self._flow_processes.send_due(deadline, report) if self._flow_processes else deadline
            if isinstance(self.next(due), StopSignalled):
                deadline = min(deadline, time.monotonic() + HURRY_SECONDS)
        killed_after = round(deadline - start, 1) if self.code is None else None
        while self.code is None:
            self.kill()
            self.next(time.monotonic() + KILL_AGAIN_SECONDS)
        if self._flow_processes and killed_after is None:
            self._flow_processes.outlive_engine(deadline)
        self.clear()
        return killed_after

    def clear(self) -> int:
        """Kill what the process left behind, read the rest of its stderr, and return its exit code."""
        process_tree.kill_descendants()
        self._reader.join(DRAIN_SECONDS)
        return self.code or 0

    def _engine(self) -> int:
        """The engine itself, which `uv run` starts as its only child; a wrapper may stay as the engine's parent."""
        below = [process.pid for process in process_tree.descendants(self.pid)]
        if self._launch.wrapped:
            return _innermost(self.pid, below)
        return below[0] if below and self._launch.command[0] == "uv" else self.pid

    def _arrived(self, signum: int, _frame: FrameType | None) -> None:
        if signum != WATCH_SIGNAL:
            self._on_stop_signal()
        self._events.put(StateChanged() if signum == WATCH_SIGNAL else StopSignalled(signum))

    def _reap(self) -> None:
        """Reap adopted orphans until the process itself ends."""
        pid = 0
        while pid != self.pid:
            pid, status = os.waitpid(-1, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self._events.put(ProcessEnded(self._process.returncode))

    def _pass_on(self) -> None:
        """Copy its stderr to ours as it arrives."""
        if self._process.stderr is None:
            return
        source, target = self._process.stderr.fileno(), sys.stderr.fileno()
        while data := os.read(source, CHUNK_BYTES):
            self.tail = (self.tail + data)[-TAIL_BYTES:]
            with suppress(OSError):
                while data:
                    data = data[os.write(target, data) :]


def _innermost(pid: int, below: list[int]) -> int:
    """The last of the processes that start each other with RUN_MODULE in their arguments; forks of it have the same."""
    command = process_tree.command_line(pid)
    for descendant in below:
        arguments = process_tree.command_line(descendant)
        if os.fsencode(RUN_MODULE) in arguments and arguments != command:
            pid, command = descendant, arguments
    return pid
