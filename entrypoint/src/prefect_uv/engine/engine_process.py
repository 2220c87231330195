"""The launched process: started, signalled once, waited for, and nothing of it left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import FrameType

from prefect_uv.engine.launch import Launch
from prefect_uv.processes import process_tree
from prefect_uv.processes.signals import INTERRUPT_SIGNAL, STOP_SIGNALS

TAIL_BYTES = 8192
CHUNK_BYTES = 65536
DRAIN_SECONDS = 1.0
HURRY_SECONDS = 5.0
KILL_AGAIN_SECONDS = 1.0
SIGNAL_EXIT = 128


@dataclass(frozen=True)
class ProcessEnded:
    """The process has ended: negative when that signal killed it."""

    code: int


@dataclass(frozen=True)
class StopSignalled:
    """A signal to stop has arrived at us."""

    signum: int


@dataclass(frozen=True)
class StateChanged:
    """The watch has seen a state that the run should not go on in."""


@dataclass(frozen=True)
class EndReported:
    """The engine has reported its final state and is about to end."""


Event = ProcessEnded | StopSignalled | StateChanged | EndReported


class EngineProcess:
    """A process of ours in a session of its own, so that signals to our group do not reach it.

    Attributes:
        code: its exit code once it has ended; 128 + n when signal n killed it.
        tail: the last bytes that it and its children wrote to stderr, where that is not a terminal.
    """

    def __init__(self, launch: Launch, environ: dict[str, str]) -> None:
        self.code: int | None = None
        self.tail = b""
        self._signalled = False
        self._events: SimpleQueue[Event] = SimpleQueue()
        for signum in (*STOP_SIGNALS, INTERRUPT_SIGNAL):
            signal.signal(signum, self._arrived)
        piped = not os.isatty(sys.stderr.fileno())
        self._process = launch.start(environ, subprocess.PIPE if piped else None)
        self.pid = self._process.pid
        process_tree.adopt_orphans()
        self._reader = threading.Thread(target=self._pass_on, daemon=True, name="stderr")
        self._reader.start()
        threading.Thread(target=self._reap, daemon=True, name="reaper").start()

    def post(self, event: Event) -> None:
        """Add an event from another thread."""
        self._events.put(event)

    def next(self, deadline: float | None = None) -> Event | None:
        """The next event; nothing when the deadline (of the monotonic clock) comes first."""
        try:
            event = self._events.get(timeout=None if deadline is None else max(0.0, deadline - time.monotonic()))
        except Empty:
            return None
        if isinstance(event, ProcessEnded):
            self.code = event.code if event.code >= 0 else SIGNAL_EXIT - event.code
        return event

    def terminate(self) -> None:
        """One SIGTERM in its whole life: a second one breaks every engine. `uv run` hands it on, once."""
        if not self._signalled and self.code is None:
            self._signalled = True
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to it and everything below it."""
        if self.code is None:
            process_tree.kill_all()

    def finish(self, grace: float) -> bool:
        """Wait for its end, kill it when the grace period is over, and leave nothing behind.

        A signal to stop cuts the grace period short: whoever sent it will not wait long.

        Returns:
            whether it ended by itself.
        """
        deadline = time.monotonic() + grace
        while self.code is None and (event := self.next(deadline)):
            if isinstance(event, StopSignalled):
                deadline = min(deadline, time.monotonic() + HURRY_SECONDS)
        in_time = self.code is not None
        while self.code is None:
            self.kill()
            self.next(time.monotonic() + KILL_AGAIN_SECONDS)
        self.clear()
        return in_time

    def clear(self) -> int:
        """Kill what the ended process has left behind, read its last words, and give its exit code."""
        process_tree.kill_descendants()
        self._reader.join(DRAIN_SECONDS)
        return self.code or 0

    def _arrived(self, signum: int, _frame: FrameType | None) -> None:
        self._events.put(StateChanged() if signum == INTERRUPT_SIGNAL else StopSignalled(signum))

    def _reap(self) -> None:
        """Reap the orphans that were adopted, too, until the process itself ends."""
        pid = 0
        while pid != self.pid:
            pid, status = os.waitpid(-1, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self._events.put(ProcessEnded(self._process.returncode))

    def _pass_on(self) -> None:
        """Everything on its stderr goes to ours as it comes."""
        if self._process.stderr is None:
            return
        source, target = self._process.stderr.fileno(), sys.stderr.fileno()
        while data := os.read(source, CHUNK_BYTES):
            self.tail = (self.tail + data)[-TAIL_BYTES:]
            with suppress(OSError):
                while data:
                    data = data[os.write(target, data) :]
