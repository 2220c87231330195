"""The log of a start: lines go to stderr and, from a background thread, to the flow run's own log."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Any, NamedTuple

from prefect_uv.log.mask import Mask

LOGGER = "prefect_uv"
DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40
GATHER_SECONDS = 0.1
FLUSH_SECONDS = 5.0
BATCH_SIZE = 200

LogEntry = dict[str, Any]


class Activity(NamedTuple):
    """Something that takes long: its name, and a function that says how far it is."""

    name: str
    details: Callable[[], str]


class RunLog:
    """Masked log lines, and the duration of each phase.

    Nothing here delays or fails a start: lines are queued, and a batch that the API does not accept is dropped.

    Attributes:
        mask: masks every line; secrets can be added at any time.
        phases: milliseconds by phase, in the order in which they ended.
        begins: when each phase began, by `time.perf_counter`.
        current_phase: the current phase and when it began; an empty name between phases.
        verbose: whether details are logged too.
        activities: what is being done that takes long (`logging_progress`), from the outermost to the innermost.
    """

    def __init__(self, mask: Mask) -> None:
        self.mask = mask
        self.phases: dict[str, float] = {}
        self.begins: dict[str, float] = {}
        self.current_phase = ("", 0.0)
        self.verbose = False
        self.activities: list[Activity] = []
        self._queue: SimpleQueue[LogEntry | None] = SimpleQueue()
        self._sender: threading.Thread | None = None
        self._closing = threading.Event()

    def detail(self, message: str) -> None:
        """Log a line at level DEBUG, if details are wanted."""
        if self.verbose:
            self._line(DEBUG, message)

    def info(self, message: str) -> None:
        """Log a line at level INFO."""
        self._line(INFO, message)

    def warning(self, message: str) -> None:
        """Log a line at level WARNING, after `warning: `."""
        self._line(WARNING, f"warning: {message}")

    def error(self, message: str) -> None:
        """Log the complete text of an error at level ERROR."""
        self._line(ERROR, message)

    def activity(self) -> tuple[str, str]:
        """What is being done that takes long, and how far it is; both empty if nothing is."""
        activities = [*self.activities]
        if not activities:
            return "", ""
        outer, inner = activities[0], activities[-1]
        return outer.name, inner.details() or ("" if inner is outer else inner.name)

    def show(self, line: str) -> None:
        """Print a line of a command's result on stdout, masked."""
        sys.stdout.write(f"{self.mask(line)}\n")

    def document(self, text: str) -> None:
        """Print a document, whose values are masked already, on a line of stderr; it is not sent to the run's log."""
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    @contextmanager
    def reporting_threads(self) -> Iterator[None]:
        """Log an exception that ends a thread, which Python would print unmasked."""
        before = threading.excepthook
        threading.excepthook = lambda ended: self.error("".join(traceback.format_exception(ended.exc_value)))
        try:
            yield
        finally:
            threading.excepthook = before

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a phase, even if it fails."""
        start = time.perf_counter()
        self.current_phase = (name, start)
        self.begins[name] = start
        try:
            yield
        finally:
            self.current_phase = ("", 0.0)
            self.phases[name] = (time.perf_counter() - start) * 1000

    def summary(self, notes: dict[str, str]) -> None:
        """Log the line before launch: the milliseconds of each phase, with a note for some, as in `sync 12 (hit …)`."""
        parts = [
            f"{name} {ms:.0f}" + (f" ({notes[name]})" if name in notes else "") for name, ms in self.phases.items()
        ]
        self.info(f"ready in {sum(self.phases.values()):.0f} ms: {', '.join(parts)}")

    def connect(self, send: Callable[[list[LogEntry]], None], flow_run_id: str) -> None:
        """Start sending all lines, earlier ones included; `send` takes a batch and may raise."""
        self._sender = threading.Thread(target=self._send_all, args=(send, flow_run_id), daemon=True, name="runlog")
        self._sender.start()

    def close(self) -> None:
        """Send the remaining lines, for at most five seconds."""
        if self._sender is not None:
            self._closing.set()
            self._queue.put(None)
            self._sender.join(FLUSH_SECONDS)
            self._sender = None

    def _line(self, level: int, message: str) -> None:
        text = self.mask(message)
        sys.stderr.write("".join(f"prefect-uv: {line}\n" for line in text.splitlines()))
        sys.stderr.flush()
        now = datetime.now(UTC).isoformat()
        self._queue.put({"name": LOGGER, "level": level, "message": text, "timestamp": now})

    def _send_all(self, send: Callable[[list[LogEntry]], None], flow_run_id: str) -> None:
        more_to_come = True
        while more_to_come:
            batch = [self._queue.get()]
            self._closing.wait(GATHER_SECONDS)
            while not self._queue.empty() and len(batch) < BATCH_SIZE:
                batch.append(self._queue.get())
            more_to_come = None not in batch
            entries = [{**entry, "flow_run_id": flow_run_id} for entry in batch if entry is not None]
            if entries and not _try_to_send(send, entries):
                sys.stderr.write(f"prefect-uv: {len(entries)} line(s) could not be sent to the flow run's log\n")


def _try_to_send(send: Callable[[list[LogEntry]], None], entries: list[LogEntry]) -> bool:
    try:
        send(entries)
    except Exception:  # noqa: BLE001 (a log line must not disturb a run)
        return False
    return True
