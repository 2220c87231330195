"""A cancellation is noticed even without an event: a server may lose one that comes before it has subscribed."""

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
from tests.unit.http_server import Answer, Request, Server

RUN = "0c7a4b5e-1111-4222-8333-444455556666"
PATH = f"/api/flow_runs/{RUN}"
LIMIT = 10


def in_state(name: str, lease: str | None = None, state_id: str = "") -> Answer:
    """The flow run in this state, as the API returns it."""
    state = {
        "id": state_id or name,
        "type": name,
        "state_details": {"deployment_concurrency_lease_id": lease},
    }
    return Answer(body={"id": RUN, "name": "brisk-otter", "state": state})


@dataclass
class SilentStream:
    """An open stream without events; waiting takes no time while it settles, and then lasts until `over`."""

    on_pause: Callable[[int], None]
    pauses: list[float] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    left: threading.Event = field(default_factory=threading.Event)

    def wait(self, seconds: float) -> bool:
        """Call `on_pause` with the number of this pause."""
        self.pauses.append(seconds)
        self.on_pause(len(self.pauses))
        if len(self.pauses) > len(SETTLING_SECONDS):
            self.over.wait(LIMIT)
        return False

    @contextmanager
    def subscribe(self, *_: object) -> Iterator[SilentStream]:
        """Replaces the subscription over the network."""
        try:
            yield self
        finally:
            self.left.set()


@pytest.fixture
def flow_run(server: Server, make_settings: MakeSettings) -> FlowRun:
    """A run that stays Running."""
    server.on(f"GET {PATH}", in_state("RUNNING"))
    return FlowRun(ApiClient(make_settings()), RUN)


@contextmanager
def watched(
    settings: Settings,
    flow_run: FlowRun,
    stream: SilentStream,
    notify: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[CancellationWatch]:
    """A watch that starts reading immediately, and opens this stream when it wants one."""
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
    """A cancellation without an event, after the server has accepted the stream, is found by one of the next reads."""

    def on_pause(number: int) -> None:
        if number == pause:
            server.on(f"GET {PATH}", in_state("CANCELLING"))

    stream, noticed = SilentStream(on_pause), threading.Event()
    with watched(make_settings(), flow_run, stream, noticed.set, monkeypatch) as watch:
        assert noticed.wait(LIMIT)
        assert watch.source == "stream"
        for waited, seconds in zip(stream.pauses, (*SETTLING_SECONDS, STREAM_CHECK_SECONDS), strict=False):
            assert seconds * (1 - JITTER) <= waited <= seconds * (1 + JITTER)


def test_closed_watch_stops_reading(
    server: Server, make_settings: MakeSettings, flow_run: FlowRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A watch that is closed while the stream settles neither reads the state again nor notifies."""
    created, notified = threading.Event(), threading.Event()

    def on_pause(_: int) -> None:
        assert created.wait(LIMIT)
        watch.close()

    stream = SilentStream(on_pause)
    monkeypatch.setattr(watch_module, "FIRST_SECONDS", 0)
    monkeypatch.setattr(watch_module, "subscribe", stream.subscribe)
    watch = CancellationWatch(make_settings(), flow_run, notified.set)
    created.set()
    assert stream.left.wait(LIMIT)
    assert len(stream.pauses) == 1
    assert len(server.to("GET", PATH)) == 1 + RUNNING_READS + 1, (
        "one at the start, those before the stream, and one in it"
    )
    assert not notified.is_set()


@pytest.mark.parametrize("before", ["PENDING", "SCHEDULED"])
def test_short_run_has_no_stream(
    server: Server, make_settings: MakeSettings, flow_run: FlowRun, before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a short run is found by polling, without a stream."""
    server.on(f"GET {PATH}", in_state(before), in_state(before), in_state("RUNNING"), in_state("COMPLETED"))
    stream, over = SilentStream(lambda _: None), threading.Event()
    with watched(make_settings(), flow_run, stream, over.set, monkeypatch) as watch:
        assert over.wait(LIMIT)
        assert watch.source == "polling"
        assert not stream.pauses


def test_stream_is_closed_for_an_hour_after_a_failed_read(
    server: Server, make_settings: MakeSettings, flow_run: FlowRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failed read the stream is closed for an hour, while polling goes on and notices the cancellation."""
    pauses: list[float] = []

    def never(seconds: float) -> Callable[[], bool]:
        pauses.append(seconds)
        return lambda: False

    def on_pause(_: int) -> None:
        server.on(f"GET {PATH}", Answer(503), in_state("CANCELLING"))

    monkeypatch.setattr(watch_module, "_time_passed", never)
    stream, noticed = SilentStream(on_pause), threading.Event()
    with watched(make_settings(), flow_run, stream, noticed.set, monkeypatch) as watch:
        assert noticed.wait(LIMIT)
        assert watch.source == "polling"
        assert stream.left.is_set()
        assert len(stream.pauses) == 1
        (away,) = pauses
        assert STREAM_RELIEF_SECONDS * (1 - JITTER) <= away <= STREAM_RELIEF_SECONDS * (1 + JITTER)


def test_pauses_between_polls_grow(
    server: Server, make_settings: MakeSettings, flow_run: FlowRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pauses are one, two, four and eight seconds, and then always ten."""
    server.on(f"GET {PATH}", in_state("PENDING"))
    pauses: list[float] = []
    enough = threading.Event()

    def no_pause(seconds: float) -> float:
        pauses.append(seconds)
        if len(pauses) == LIMIT:
            enough.set()
        return 0

    monkeypatch.setattr(watch_module, "_jittered", no_pause)
    watch = CancellationWatch(make_settings(), flow_run, lambda: None)
    try:
        assert enough.wait(LIMIT)
    finally:
        watch.close()
    assert pauses[:6] == [1, 2, 4, 8, WATCH_POLL_SECONDS, WATCH_POLL_SECONDS]


@pytest.mark.parametrize(("state", "names"), [("PENDING", ["Installing"]), ("SCHEDULED", []), ("RUNNING", [])])
def test_state_says_what_lasts(
    server: Server, make_settings: MakeSettings, state: str, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reads that look for a cancellation show what lasts, in a run that is Pending, once for each name."""
    monkeypatch.setattr(watch_module, "FIRST_SECONDS", 0)
    monkeypatch.setattr(watch_module, "WATCH_POLL_SECONDS", 0)
    reads = threading.Semaphore(0)
    current = {"id": "1", "type": state, "name": state.title()}

    def read(_: Request) -> Answer:
        reads.release()
        return Answer(body={"id": RUN, "name": "brisk-otter", "state": current})

    def accept(request: Request) -> Answer:
        current["name"] = request.json["state"]["name"]
        return Answer(201, {"status": "ACCEPT", "state": current})

    server.on(f"GET {PATH}", read)
    server.on(f"POST {PATH}/set_state", accept)
    flow_run = FlowRun(ApiClient(make_settings()), RUN)
    monkeypatch.setattr(watch_module, "RUNNING_READS", -1)
    watch = CancellationWatch(make_settings(), flow_run, lambda: None, lambda: ("Installing", "building x"))
    assert all(reads.acquire(timeout=LIMIT) for _ in range(4))
    watch.close()
    assert [request.json["state"]["name"] for request in server.to("POST", f"{PATH}/set_state")] == names
