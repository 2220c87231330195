"""A Cancel is noticed though the stream never tells of it: a server loses what comes before it has subscribed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from prefect_uv.api import cancellation_watch as watch_module
from prefect_uv.api.cancellation_watch import (
    JITTER,
    RUNNING_READS,
    SETTLING_SECONDS,
    STREAM_CHECK_SECONDS,
    STREAM_RELIEF_SECONDS,
    WATCH_POLL_SECONDS,
    CancellationWatch,
)
from prefect_uv.api.client import ApiClient
from prefect_uv.api.flow_run import FlowRun
from prefect_uv.settings import Settings
from tests.unit.conftest import MakeSettings
from tests.unit.http_server import Answer, Server

RUN = "0c7a4b5e-1111-4222-8333-444455556666"
PATH = f"/api/flow_runs/{RUN}"
LIMIT = 10


def in_state(name: str) -> Answer:
    """The flow run as the API gives it."""
    return Answer(body={"id": RUN, "name": "brisk-otter", "state": {"id": name, "type": name}})


@dataclass
class Silent:
    """A stream that is open and tells of nothing; waiting takes no time, until the pauses are long."""

    happens: Callable[[int], None]
    pauses: list[float] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    left: threading.Event = field(default_factory=threading.Event)

    def wait(self, seconds: float) -> bool:
        """Let happen what is to happen in this pause."""
        self.pauses.append(seconds)
        self.happens(len(self.pauses))
        if len(self.pauses) > len(SETTLING_SECONDS):
            self.over.wait(LIMIT)
        return False

    @contextmanager
    def subscribe(self, *_: object) -> Iterator[Silent]:
        """In the place of the subscription over the network."""
        try:
            yield self
        finally:
            self.left.set()


@pytest.fixture
def flow_run(server: Server, make_settings: MakeSettings) -> FlowRun:
    """A run that goes on."""
    server.on(f"GET {PATH}", in_state("RUNNING"))
    return FlowRun(ApiClient(make_settings()), RUN)


@contextmanager
def watched(
    settings: Settings, flow_run: FlowRun, stream: Silent, notify: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> Iterator[CancellationWatch]:
    """A watch that begins at once, with this stream for when it wants one."""
    monkeypatch.setattr(watch_module, "FIRST_SECONDS", 0)
    monkeypatch.setattr(watch_module, "subscribe", stream.subscribe)
    watch = CancellationWatch(settings, flow_run, notify)
    try:
        yield watch
    finally:
        watch.close()
        stream.over.set()


@pytest.mark.parametrize("pause", range(1, len(SETTLING_SECONDS) + 1))
def test_cancel_before_the_subscription(
    server: Server, make_settings: MakeSettings, flow_run: FlowRun, pause: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set after the server has accepted, told by no event: one of the looks after that finds it."""

    def happens(number: int) -> None:
        if number == pause:
            server.on(f"GET {PATH}", in_state("CANCELLING"))

    stream, noticed = Silent(happens), threading.Event()
    with watched(make_settings(), flow_run, stream, noticed.set, monkeypatch) as watch:
        assert noticed.wait(LIMIT)
        assert watch.source == "stream"
        for waited, seconds in zip(stream.pauses, (*SETTLING_SECONDS, STREAM_CHECK_SECONDS), strict=False):
            assert seconds * (1 - JITTER) <= waited <= seconds * (1 + JITTER)


def test_closed_watch_looks_no_more(
    server: Server, make_settings: MakeSettings, flow_run: FlowRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither while the stream settles nor later."""
    made, told = threading.Event(), threading.Event()

    def happens(_: int) -> None:
        assert made.wait(LIMIT)
        watch.close()

    stream = Silent(happens)
    monkeypatch.setattr(watch_module, "FIRST_SECONDS", 0)
    monkeypatch.setattr(watch_module, "subscribe", stream.subscribe)
    watch = CancellationWatch(make_settings(), flow_run, told.set)
    made.set()
    assert stream.left.wait(LIMIT)
    assert len(stream.pauses) == 1
    assert len(server.to("GET", PATH)) == 1 + RUNNING_READS + 1, (
        "one to begin with, those before the stream, and one in it"
    )
    assert not told.is_set()


@pytest.mark.parametrize("before", ["PENDING", "SCHEDULED"])
def test_run_that_does_not_last_has_no_stream(
    server: Server, make_settings: MakeSettings, flow_run: FlowRun, before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prepared, begun and over: its end is polled for."""
    server.on(f"GET {PATH}", in_state(before), in_state(before), in_state("RUNNING"), in_state("COMPLETED"))
    stream, over = Silent(lambda _: None), threading.Event()
    with watched(make_settings(), flow_run, stream, over.set, monkeypatch) as watch:
        assert over.wait(LIMIT)
        assert watch.source == "polling"
        assert not stream.pauses


def test_stream_is_given_up_for_an_hour(
    server: Server, make_settings: MakeSettings, flow_run: FlowRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As soon as a look in it fails; polling goes on all the same, and finds what happens."""
    times: list[float] = []

    def never(seconds: float) -> Callable[[], bool]:
        times.append(seconds)
        return lambda: False

    def happens(_: int) -> None:
        server.on(f"GET {PATH}", Answer(503), in_state("CANCELLING"))

    monkeypatch.setattr(watch_module, "_time_passed", never)
    stream, noticed = Silent(happens), threading.Event()
    with watched(make_settings(), flow_run, stream, noticed.set, monkeypatch) as watch:
        assert noticed.wait(LIMIT)
        assert watch.source == "polling"
        assert stream.left.is_set()
        assert len(stream.pauses) == 1
        (away,) = times
        assert STREAM_RELIEF_SECONDS * (1 - JITTER) <= away <= STREAM_RELIEF_SECONDS * (1 + JITTER)


def test_pauses_grow_with_the_age_of_the_run(
    server: Server, make_settings: MakeSettings, flow_run: FlowRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After one second, two, four and eight, and then every ten seconds."""
    server.on(f"GET {PATH}", in_state("PENDING"))
    pauses: list[float] = []
    enough = threading.Event()

    def at_once(seconds: float) -> float:
        pauses.append(seconds)
        if len(pauses) == LIMIT:
            enough.set()
        return 0

    monkeypatch.setattr(watch_module, "_jittered", at_once)
    watch = CancellationWatch(make_settings(), flow_run, lambda: None)
    try:
        assert enough.wait(LIMIT)
    finally:
        watch.close()
    assert pauses[:6] == [1, 2, 4, 8, WATCH_POLL_SECONDS, WATCH_POLL_SECONDS]
