"""Noticing that the run should stop: by the server's event stream in a run that lasts, and by polling.

An event only says that it is time to read the state. Nothing is ever concluded from an API that does not answer.

A stream occupies the server. On SQLite, Prefect handles 99 requests at once and counts an open websocket as one of
them (`RequestLimitMiddleware`, prefect/server/api/server.py, 3.0 to 3.8.8): when websockets hold all of them, it
answers nobody, for as long as they are open. Each engine has two. So a run that is prepared, that begins or that is
short takes none for its watch, and a server that does not answer gets the watch's one back.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from itertools import chain, repeat

from prefect_uv.api.event_stream import Stream, StreamError, subscribe
from prefect_uv.api.flow_run import FlowRun, State
from prefect_uv.api.transport import RetryPolicy
from prefect_uv.errors import PrefectUvError
from prefect_uv.settings import Settings

FIRST_SECONDS = 1.0
WATCH_POLL_SECONDS = 10.0
LASTING = 2
CHECK_SECONDS = 300.0
SETTLING_SECONDS = (1.0, 5.0)  # a server takes a moment to subscribe after it has accepted: no event is sent before
LONGEST_SECONDS = 120.0
JITTER = 0.3
STREAM_AGAIN_SECONDS = 30.0
RELIEF_SECONDS = 3600.0
STATE_POLICY = RetryPolicy(0, 10.0)


class CancellationWatch:
    """A thread that calls `notify` when the run is Cancelling or in a final state.

    A start that is ready within a second is not delayed by it and asks nothing more of the server. Then the pauses
    double up to ten seconds, and a run that two looks in a row have found Running has its stream. While that is open,
    the state is still read every five minutes: a server of several replicas may lose an event.

    Attributes:
        state: the state that was read last.
        source: `stream`, `polling` or `not yet`.
    """

    def __init__(self, settings: Settings, flow_run: FlowRun, notify: Callable[[], None]) -> None:
        self.state: State | None = None
        self.source = "not yet"
        self._settings = settings
        self._flow_run = flow_run
        self._notify = notify
        self._closed = threading.Event()
        self._pause = FIRST_SECONDS / 2
        self._seen_running = 0
        threading.Thread(target=self._run, daemon=True, name="watch").start()

    def close(self) -> None:
        """Notify no more."""
        self._closed.set()

    def _run(self) -> None:
        self._closed.wait(FIRST_SECONDS)
        self._poll(lambda: self._seen_running == LASTING)
        again = STREAM_AGAIN_SECONDS
        while not self._closed.is_set():
            try:
                with subscribe(self._settings, self._flow_run.id) as stream:
                    again = STREAM_AGAIN_SECONDS
                    self._follow(stream)
                away = RELIEF_SECONDS
            except StreamError:
                away, again = again, min(again * 2, 10 * STREAM_AGAIN_SECONDS)
            self._poll(_over(_jittered(away)))

    def _follow(self, stream: Stream) -> None:
        """Until a look fails."""
        self.source = "stream"
        pauses = chain(SETTLING_SECONDS, repeat(CHECK_SECONDS))
        while not self._closed.is_set() and self._look():
            stream.wait(_jittered(next(pauses)))

    def _poll(self, enough: Callable[[], bool]) -> None:
        self.source = "polling"
        while not self._closed.is_set() and not enough():
            self._look()
            self._closed.wait(_jittered(self._pause))

    def _look(self) -> bool:
        """Read the state, if the API answers; one in trouble is asked less and less often."""
        try:
            self.state = self._flow_run.state(STATE_POLICY)
        except PrefectUvError:
            self._pause = min(self._pause * 2, LONGEST_SECONDS)
            return False
        self._pause = min(self._pause * 2, WATCH_POLL_SECONDS)
        self._seen_running = self._seen_running + 1 if self.state.type == "RUNNING" else 0
        if (self.state.cancelling or self.state.final) and not self._closed.is_set():
            self._notify()
        return True


def _over(seconds: float) -> Callable[[], bool]:
    """Whether this time is over."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 (spreads requests, keeps no secret)
