"""Noticing that the flow run should stop: by polling, and in a long run by the server's event stream.

An event only means that it is time to read the state. An API that does not answer never means that the run should stop.

An open stream occupies the server. With SQLite, Prefect handles 99 requests at a time and counts each open websocket as
one of them; while websockets hold all of them, the server answers nobody. Each engine holds two. So a run that is being
prepared, has just begun or is short opens none for its watch, and a watch closes its own if the server stops answering.

Prefect 3.0.0 to 3.8.8, RequestLimitMiddleware: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/server/api/server.py
Prefect 3.8.8, an engine's websocket for its events: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/events/clients.py
Prefect 3.8.8, an engine's websocket for suspension: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/_internal/observers.py
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable
from itertools import chain, repeat

from prefect_uv.api.event_stream import EventStream, StreamError, subscribe
from prefect_uv.api.flow_run import FlowRun
from prefect_uv.api.patience import RetryPolicy
from prefect_uv.api.run_state import State
from prefect_uv.api.slot_lease import SlotLease
from prefect_uv.errors import PrefectUvError
from prefect_uv.settings import Settings

FIRST_SECONDS = 1.0
WATCH_POLL_SECONDS = 10.0
RUNNING_READS = 2
STREAM_CHECK_SECONDS = 300.0
# Prefect 3.8.8, observed: a server accepts a subscription slightly before it sends events; covered by
# tests/unit/api/test_cancellation_watch.py::test_cancel_before_the_subscription
SETTLING_SECONDS = (1.0, 5.0)
LONGEST_POLL_SECONDS = 120.0
JITTER = 0.3
STREAM_RETRY_SECONDS = 30.0
STREAM_RELIEF_SECONDS = 3600.0
WATCH_POLICY = RetryPolicy(0, 10.0, 10.0)


class CancellationWatch:
    """Calls `notify`, from a thread of its own, when the run is Cancelling or in a final state; keeps its lease.

    While the run is Pending, it shows in the state's name what takes long (`FlowRun.show`): whoever asks for the state
    every few seconds anyway knows when it is time.

    The first read comes after a second, so a quick start is not slowed down and sends no extra request. The pauses then
    double up to ten seconds. Once two reads in a row find the run Running, the watch opens a stream. With the stream
    open, the state is still read every five minutes, because a server with several replicas may lose an event.

    Attributes:
        state: the state as last read; None before the first read.
        source: `stream`, `polling` or `not yet`.
    """

    def __init__(
        self,
        settings: Settings,
        flow_run: FlowRun,
        notify: Callable[[], None],
        doing: Callable[[], tuple[str, str] | None] = lambda: None,
    ) -> None:
        self.state: State | None = None
        self.source = "not yet"
        self._settings = settings
        self._flow_run = flow_run
        self._notify = notify
        self._doing = doing
        self._lease = SlotLease(flow_run)
        self._lease_seconds = math.inf
        self._closed = threading.Event()
        self._poll_seconds = FIRST_SECONDS / 2
        self._running_reads = 0
        threading.Thread(target=self._run, daemon=True, name="watch").start()

    def close(self) -> None:
        """Stop reading, and never call `notify` again."""
        self._closed.set()

    def _run(self) -> None:
        self._closed.wait(FIRST_SECONDS)
        self._poll(until=lambda: self._running_reads == RUNNING_READS)
        retry_seconds = STREAM_RETRY_SECONDS
        while not self._closed.is_set():
            try:
                with subscribe(self._settings, self._flow_run.id) as stream:
                    retry_seconds = STREAM_RETRY_SECONDS
                    self._follow(stream)
                pause = STREAM_RELIEF_SECONDS
            except StreamError:
                pause, retry_seconds = retry_seconds, min(retry_seconds * 2, 10 * STREAM_RETRY_SECONDS)
            self._poll(until=_time_passed(_jittered(pause)))

    def _follow(self, stream: EventStream) -> None:
        """Read the state on each event and after each pause, until a read fails."""
        self.source = "stream"
        pauses = chain(SETTLING_SECONDS, repeat(STREAM_CHECK_SECONDS))
        while not self._closed.is_set() and self._read_state():
            stream.wait(min(_jittered(next(pauses)), self._lease_seconds))

    def _poll(self, until: Callable[[], bool]) -> None:
        self.source = "polling"
        while not self._closed.is_set() and not until():
            self._read_state()
            self._closed.wait(_jittered(self._poll_seconds))

    def _read_state(self) -> bool:
        """Read the state, notify if needed, and keep the lease; False if the API does not answer.

        An API that does not answer is polled less often.
        """
        try:
            self.state = self._flow_run.state(WATCH_POLICY)
        except PrefectUvError:
            self._poll_seconds = min(self._poll_seconds * 2, LONGEST_POLL_SECONDS)
            return False
        self._poll_seconds = min(self._poll_seconds * 2, WATCH_POLL_SECONDS)
        self._running_reads = self._running_reads + 1 if self.state.type == "RUNNING" else 0
        if (self.state.cancelling or self.state.final) and not self._closed.is_set():
            self._notify()
        self._lease_seconds = self._lease.keep(self.state)
        self._show(self.state)
        return True

    def _show(self, state: State) -> None:
        """Let the state say what is being done, if that takes long and the state does not say it yet."""
        doing = self._doing() if state.type == "PENDING" else None
        if doing and doing[0] != state.name and not self._closed.is_set():
            self._flow_run.show(*doing)


def _time_passed(seconds: float) -> Callable[[], bool]:
    """Return a function that says whether this time has passed since now."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 (spreads requests, keeps no secret)
