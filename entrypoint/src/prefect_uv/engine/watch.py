"""Noticing that the run should stop: by the server's event stream, and by slow polling where there is none.

An event only says that it is time to read the state. Nothing is ever concluded from an API that does not answer.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from itertools import chain, repeat

from prefect_uv.engine.stream import Stream, StreamError, subscribe
from prefect_uv.errors import PrefectUvError
from prefect_uv.flowrun import FlowRun, State
from prefect_uv.settings import Settings
from prefect_uv.transport import Patience

FIRST_SECONDS = 1.0
POLL_SECONDS = 10.0
CHECK_SECONDS = 300.0
SETTLING_SECONDS = (1.0, 5.0)  # a server takes a moment to subscribe after it has accepted: no event is sent before
LONGEST_SECONDS = 120.0
JITTER = 0.3
STREAM_AGAIN_SECONDS = 30.0
PATIENCE = Patience(0, 10.0)


class Watch:
    """A thread that calls `notify` when the run is Cancelling or in a final state.

    A start that is ready within a second is not delayed by it and asks nothing more of the server. While the stream
    is open, the state is still read every five minutes: a server of several replicas may lose an event.

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
        self._pause = POLL_SECONDS
        threading.Thread(target=self._run, daemon=True, name="watch").start()

    def close(self) -> None:
        """Notify no more."""
        self._closed.set()

    def _run(self) -> None:
        self._closed.wait(FIRST_SECONDS)
        again = STREAM_AGAIN_SECONDS
        while not self._closed.is_set():
            try:
                with subscribe(self._settings, self._flow_run.id) as stream:
                    again = STREAM_AGAIN_SECONDS
                    self._follow(stream)
            except StreamError:
                self._poll(until=time.monotonic() + _jittered(again))
                again = min(again * 2, 10 * STREAM_AGAIN_SECONDS)

    def _follow(self, stream: Stream) -> None:
        self.source = "stream"
        pauses = chain(SETTLING_SECONDS, repeat(CHECK_SECONDS))
        while not self._closed.is_set():
            self._look()
            stream.wait(_jittered(next(pauses)))

    def _poll(self, until: float) -> None:
        self.source = "polling"
        while not self._closed.is_set() and time.monotonic() < until:
            self._look()
            self._closed.wait(_jittered(self._pause))

    def _look(self) -> None:
        """Read the state; an API in trouble is asked less and less often."""
        try:
            self.state = self._flow_run.state(PATIENCE)
        except PrefectUvError:
            self._pause = min(self._pause * 2, LONGEST_SECONDS)
            return
        self._pause = POLL_SECONDS
        if (self.state.cancelling or self.state.final) and not self._closed.is_set():
            self._notify()


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 (spreads requests, keeps no secret)
