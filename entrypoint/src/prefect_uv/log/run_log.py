"""What happens at start is told on stderr and, from a background thread, in the flow run's own log."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Any

from prefect_uv.log.mask import Mask

LOGGER = "prefect_uv"
INFO, WARNING, ERROR = 20, 30, 40
GATHER_SECONDS = 0.1
FLUSH_SECONDS = 5.0
BATCH = 200

LogEntry = dict[str, Any]


class RunLog:
    """Lines for people, masked; phases with their milliseconds.

    Nothing here delays or fails a start: lines are queued, and what the API does not take is given up with one notice.
    """

    def __init__(self, mask: Mask) -> None:
        self.mask = mask
        self.phases: dict[str, float] = {}
        self._queue: SimpleQueue[LogEntry | None] = SimpleQueue()
        self._sender: threading.Thread | None = None
        self._closing = threading.Event()

    def info(self, message: str) -> None:
        """One line at level INFO."""
        self._line(INFO, message)

    def warning(self, message: str) -> None:
        """One line at level WARNING."""
        self._line(WARNING, f"warning: {message}")

    def error(self, message: str) -> None:
        """An error's whole text, at level ERROR."""
        self._line(ERROR, message)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a phase, also one that fails."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.phases[name] = (time.perf_counter() - start) * 1000

    def summary(self, notes: dict[str, str]) -> None:
        """The line before launch: all phases in milliseconds, with a note behind some."""
        parts = [
            f"{name} {ms:.0f}" + (f" ({notes[name]})" if name in notes else "") for name, ms in self.phases.items()
        ]
        self.info(f"ready in {sum(self.phases.values()):.0f} ms: {', '.join(parts)}")

    def connect(self, send: Callable[[list[LogEntry]], None], flow_run_id: str) -> None:
        """Begin to send the lines, those so far included; `send` takes a batch and may raise."""
        self._sender = threading.Thread(target=self._send_all, args=(send, flow_run_id), daemon=True, name="runlog")
        self._sender.start()

    def close(self) -> None:
        """Send what is left, for at most five seconds."""
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
        open_ = True
        while open_:
            batch = [self._queue.get()]
            self._closing.wait(GATHER_SECONDS)
            while not self._queue.empty() and len(batch) < BATCH:
                batch.append(self._queue.get())
            open_ = None not in batch
            entries = [{**entry, "flow_run_id": flow_run_id} for entry in batch if entry is not None]
            if entries and not _sent(send, entries):
                sys.stderr.write(f"prefect-uv: {len(entries)} line(s) could not be sent to the flow run's log\n")


def _sent(send: Callable[[list[LogEntry]], None], entries: list[LogEntry]) -> bool:
    try:
        send(entries)
    except Exception:  # noqa: BLE001 (whatever it is, a log line must not disturb a run)
        return False
    return True
