"""A request ends when its time is over, or soon after a signal, whatever the API does or fails to do."""

from __future__ import annotations

import math
import os
import signal
import socket
import threading
from collections.abc import Iterator

import pytest

from prefect_uv.api import patience, transport
from prefect_uv.api.client import ApiClient
from prefect_uv.api.flow_run import REPORT_POLICY
from prefect_uv.api.patience import RetryPolicy
from prefect_uv.api.transport import ApiRequest, Transport, UnansweredError
from prefect_uv.processes.signals import call_on_signals
from tests.unit.conftest import MakeSettings
from tests.unit.http_server import TROUBLES, Answer, Request, Server

LOOK = ApiRequest("GET", "/x", None, {}, {})
ENDLESS = RetryPolicy(math.inf, 60)

pytestmark = pytest.mark.timeout(20)


@pytest.fixture(params=TROUBLES)
def trouble(request: pytest.FixtureRequest, server: Server) -> Answer:
    """What the server does instead of an answer, always."""
    answer = TROUBLES[request.param]
    server.on("GET /api/x", answer)
    return answer


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that would have been made, in seconds."""
    asked: list[float] = []

    def pause(_: patience.Patience, seconds: float) -> bool:
        asked.append(seconds)
        return True

    monkeypatch.setattr(patience.Patience, "pause", pause)
    return asked


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hurried request has half a second."""
    monkeypatch.setattr(patience, "HURRIED_SECONDS", 0.5)
    monkeypatch.setattr(patience, "HURRIED_ATTEMPT_SECONDS", 0.3)


@pytest.mark.usefixtures("trouble")
def test_total_time_is_limited(make_settings: MakeSettings) -> None:
    """The limit is for all attempts, pauses and maintenance together, and for each byte of a response."""
    with pytest.raises(UnansweredError):
        Transport(make_settings()).send(LOOK, RetryPolicy(math.inf, 60, 0.5))


@pytest.mark.parametrize("trouble", ["drips", "is silent"], indirect=True)
def test_attempt_is_limited(make_settings: MakeSettings, trouble: Answer) -> None:
    """The timeout is for an attempt as a whole, not for each of its reads."""
    assert trouble
    with pytest.raises(UnansweredError):
        Transport(make_settings()).send(LOOK, RetryPolicy(0, 0.3))


@pytest.fixture
def name_server_is_away(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Looking up a name lasts, as it does if the name server does not answer, and no signal interrupts it."""
    back = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: back.wait(30))
    yield
    back.set()


@pytest.mark.usefixtures("name_server_is_away")
def test_name_server_that_is_away(make_settings: MakeSettings) -> None:
    """The limit is also for the name server."""
    settings = make_settings(PREFECT_API_URL="http://prefect.invalid/api")
    with pytest.raises(UnansweredError, match="no complete answer in time"):
        Transport(settings).send(LOOK, RetryPolicy(0, 60, 0.3))


@pytest.mark.usefixtures("quick")
def test_signal_hurries_a_request(make_settings: MakeSettings, server: Server, trouble: Answer) -> None:
    """A signal ends a request that would go on for ever: after one more attempt, within seconds."""
    moved = Transport(make_settings())
    call_on_signals(moved.hurry)

    def first(_: Request) -> Answer:
        os.kill(os.getpid(), signal.SIGTERM)
        return trouble

    server.on("GET /api/x", first, trouble)
    with pytest.raises(UnansweredError):
        moved.send(LOOK, ENDLESS)


@pytest.mark.usefixtures("quick")
def test_signal_ends_a_pause(make_settings: MakeSettings, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal in a pause that the server asked for leads to one more attempt, which may succeed."""
    moved = Transport(make_settings())
    call_on_signals(moved.hurry)
    pause = patience.Patience.pause

    def interrupted(self: patience.Patience, seconds: float) -> bool:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        return pause(self, seconds)

    monkeypatch.setattr(patience.Patience, "pause", interrupted)
    server.on("GET /api/x", TROUBLES["rate limit"], Answer(body="back"))
    assert moved.send(LOOK, ENDLESS).data == b'"back"'


@pytest.mark.usefixtures("trouble", "quick")
def test_hurried_transport_stays_hurried(make_settings: MakeSettings) -> None:
    """Requests after the signal are short, too."""
    moved = Transport(make_settings())
    moved.hurry()
    with pytest.raises(UnansweredError):
        moved.send(LOOK, ENDLESS)


def test_maintenance_is_not_hammered(
    make_settings: MakeSettings, server: Server, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Retry-After, the pauses grow during maintenance, too."""
    monkeypatch.setattr(transport, "JITTER_SECONDS", 0)
    server.on("GET /api/x", *[TROUBLES["maintenance"]] * 6, Answer(body="back"))
    Transport(make_settings()).send(LOOK, RetryPolicy(0, 5))
    assert pauses == [0, 2, 4, 8, 10, 10]


@pytest.mark.parametrize(
    ("retry_after", "pause"),
    [
        ("7", 7),
        ("1.5", 1.5),
        ("-3", 0),
        ("100000", 120),
        ("9" * 300, 120),
        ("9" * 400, 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 120),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wed, 21 Oct 0000 07:28:00 GMT", 0),
        ("Wed, 21 Oct 2015 07:28:00 +9999", 0),
        ("inf", 0),
        ("nan", 0),
        ("soon", 0),
        ("", 0),
    ],
)
def test_retry_after(
    make_settings: MakeSettings, server: Server, pauses: list[float], retry_after: str, pause: float
) -> None:
    """Numbers and dates are honoured, up to two minutes; what is neither counts as missing."""
    server.on("GET /api/x", Answer(503, headers={"Retry-After": retry_after}), Answer(body="x"))
    Transport(make_settings()).send(LOOK, RetryPolicy(1, 5))
    assert pauses == [pause]


def test_reports_are_repeated_for_minutes(make_settings: MakeSettings, server: Server, pauses: list[float]) -> None:
    """A report has no number of attempts, only a time; each attempt is the same transition."""
    assert (REPORT_POLICY.retries, REPORT_POLICY.total) == (math.inf, 300)
    path = "/api/flow_runs/x/set_state"
    server.on(f"POST {path}", *[Answer(502)] * 50, Answer(201, {"status": "ACCEPT"}))
    ApiClient(make_settings(PREFECT_CLIENT_MAX_RETRIES="0")).set_state("x", "CRASHED", policy=REPORT_POLICY)
    assert len(pauses) == 50
    assert len({request.body for request in server.to("POST", path)}) == 1
