"""The lease on a concurrency slot is renewed until the engine does it; tests/engine has a real server."""

from __future__ import annotations

import math
import threading
import time
from types import SimpleNamespace

import pytest

from prefect_uv.api import cancellation_watch, slot_lease
from prefect_uv.api.cancellation_watch import CancellationWatch
from prefect_uv.api.client import ApiClient
from prefect_uv.api.flow_run import FlowRun
from prefect_uv.api.slot_lease import RENEWAL_RETRY_SECONDS, RENEWAL_SECONDS, SlotLease
from tests.unit.api.test_cancellation_watch import PATH, RUN, in_state
from tests.unit.conftest import MakeSettings
from tests.unit.http_server import Answer, Server

LEASE = "99999999-8888-4777-8666-555555555555"
RENEW = f"/api/v2/concurrency_limits/leases/{LEASE}/renew"


@pytest.fixture
def flow_run(server: Server, make_settings: MakeSettings) -> FlowRun:
    """A Pending run that has a lease."""
    server.on(f"GET {PATH}", in_state("PENDING", LEASE))
    server.on(f"POST {RENEW}", Answer(204))
    return FlowRun(ApiClient(make_settings(PREFECT_CLIENT_MAX_RETRIES="0")), RUN)


def test_lease_is_renewed_when_due(server: Server, flow_run: FlowRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first look renews it, for as long as the engine would; the next does when most of that time has passed."""
    lease = SlotLease(flow_run)
    assert 0 < lease.keep(flow_run.found) <= RENEWAL_SECONDS
    lease.keep(flow_run.found)
    assert [request.json for request in server.to("POST", RENEW)] == [{"lease_duration": 300.0}]
    later = time.monotonic() + RENEWAL_SECONDS
    monkeypatch.setattr(slot_lease, "time", SimpleNamespace(monotonic=lambda: later))
    lease.keep(flow_run.found)
    assert len(server.to("POST", RENEW)) == 2


@pytest.mark.parametrize("answer", [Answer(404), Answer(410), Answer(500), Answer(503), Answer(401)])
def test_lease_that_cannot_be_renewed_stops_nothing(server: Server, flow_run: FlowRun, answer: Answer) -> None:
    """Whatever the server answers, the renewal is only tried again."""
    server.on(f"POST {RENEW}", answer)
    assert 0 < SlotLease(flow_run).keep(flow_run.found) <= RENEWAL_RETRY_SECONDS


def test_run_without_a_lease_costs_nothing(server: Server, make_settings: MakeSettings) -> None:
    """Without a limit on the deployment, or with an old server, nothing is requested."""
    server.on(f"GET {PATH}", in_state("PENDING"))
    flow_run = FlowRun(ApiClient(make_settings()), RUN)
    requests = len(server.requests)
    assert SlotLease(flow_run).keep(flow_run.found) == math.inf
    assert len(server.requests) == requests


@pytest.mark.usefixtures("flow_run")
@pytest.mark.parametrize(("found", "renewals"), [("before", 1), ("now", 0)])
def test_engine_takes_over(server: Server, make_settings: MakeSettings, found: str, renewals: int) -> None:
    """The engine's own Running ends our part; a Running that we found is that of an earlier attempt."""
    server.on(f"GET {PATH}", in_state("RUNNING", LEASE, found))
    flow_run = FlowRun(ApiClient(make_settings()), RUN)
    server.on(f"GET {PATH}", in_state("RUNNING", LEASE, "before"))
    SlotLease(flow_run).keep(flow_run.state())
    assert len(server.to("POST", RENEW)) == renewals


def test_watch_keeps_the_lease(
    server: Server, flow_run: FlowRun, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that looks for cancellations renews the lease while the run is prepared, and then no more."""
    monkeypatch.setattr(cancellation_watch, "FIRST_SECONDS", 0)
    monkeypatch.setattr(slot_lease, "RENEWAL_SECONDS", 0)
    prepared, over = in_state("PENDING", LEASE), threading.Event()
    server.on(f"GET {PATH}", prepared, prepared, in_state("RUNNING", LEASE), in_state("COMPLETED", LEASE))
    watch = CancellationWatch(make_settings(), flow_run, over.set)
    assert over.wait(20)
    watch.close()
    assert len(server.to("POST", RENEW)) == 2
