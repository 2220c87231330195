"""Cases that do not depend on Prefect's version: an unreachable API, an engine that hangs, no supervisor."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from prefect.states import Cancelling

from prefect_uv.settings.tool_variables import VERSION_CHECK
from tests.engine.cases import RESCHEDULE
from tests.engine.host import Host, Run
from tests.engine.proxy import Proxy
from tests.pins import PREFECT
from tests.stack.api import Api
from tests.stack.process import wait_until
from tests.unit.http_server import Answer, running_server
from tests.unit.record.collector import spans_of

pytestmark = pytest.mark.timeout(300)

TRACING = "opentelemetry-distro opentelemetry-exporter-otlp-proto-http"
FULL = bool(os.environ.get("PREFECT_UV_TEST_FULL"))
CLEAN_UPS, LANES = (200, 8) if FULL else (1, 1)


@pytest.fixture
def proxy(host: Host) -> Iterator[Proxy]:
    """A proxy between the run and the server."""
    with Proxy.before(host.server) as running:
        yield running


def _start(host: Host, proxy: Proxy, flow: str, **parameters: float) -> Run:
    host.project(PREFECT)
    return host.start(PREFECT, f"flows.py:{flow}", parameters, {"PREFECT_API_URL": proxy.server.url}).wait_for_flow()


def test_server_is_asked_for_its_version_once(host: Host, proxy: Proxy) -> None:
    """We ask the server for its version instead of the engine, which asks on each of its connections (ADR 39)."""
    host.project(PREFECT)
    asked = []
    for variables in ({}, {VERSION_CHECK: "true"}):
        proxy.requests.clear()
        run = host.start(
            PREFECT, "flows.py:sleeping", {"seconds": 0}, {"PREFECT_API_URL": proxy.server.url, **variables}
        )
        assert run.end()[0] == 0, run.output
        asked.append(proxy.requests.count("GET /api/admin/version"))
    assert asked[0] == 1 < asked[1], asked


def test_run_is_not_disturbed_by_an_outage_of_the_api(host: Host, proxy: Proxy) -> None:
    """The API is unreachable for a while: the flow completes, and the watch falls back to polling."""
    run = _start(host, proxy, "sleeping", seconds=25)
    run.wait_for("the watch has the stream", lambda: _status(run).endswith("watch: stream"))
    assert proxy.requests
    proxy.cut()
    run.wait_for("the watch has noticed", lambda: _status(run).endswith("watch: polling"))
    proxy.restore()
    code, _ = run.end()
    assert (run.state.name, code) == ("Completed", 0), run.output


def test_cancel_is_seen_without_the_stream(host: Host, proxy: Proxy) -> None:
    """After an outage of the API, polling finds what happened in the meantime."""
    run = _start(host, proxy, "sleeping")
    run.wait_for("the watch has the stream", lambda: _status(run).endswith("watch: stream"))
    proxy.cut()
    run.cancel()
    run.wait_for("the watch has noticed", lambda: _status(run).endswith("watch: polling"))
    proxy.restore()
    code, _ = run.end()
    assert (run.state.name, code, run.notes.count("on_cancellation")) == ("Cancelled", 0, 1), run.output


def test_crash_is_reported_when_the_api_is_back(host: Host, proxy: Proxy) -> None:
    """An engine that dies while the API is unreachable is reported as soon as the API answers."""
    run = _start(host, proxy, "sleeping")
    proxy.cut()
    run.kill(run.engine)
    run.wait_for("the engine is gone", lambda: not Path(f"/proc/{run.engine}").exists())
    proxy.restore()
    code, _ = run.end(120)
    assert (run.state.name, code, run.notes.count("on_crashed")) == ("Crashed", 137, 1), run.output
    assert "killed by SIGKILL" in str(run.state.message)


def test_engine_that_does_not_exit_is_killed(host: Host) -> None:
    """An engine with a thread that outlives the flow is killed ten grace periods after it reported the end."""
    environment = {"PREFECT_UV_CANCEL_GRACE_SECONDS": "0.5"}
    run = host.start(PREFECT, "flows.py:threading_on", environment=environment).wait_for_flow()
    code, _ = run.end()
    assert (run.state.name, code) == ("Completed", 0), run.output
    assert "did not end within 5 s" in run.output
    assert run.left_behind() == []


def test_spans_of_a_cancelled_run_arrive(host: Host) -> None:
    """One wrapper stays as the parent, OpenTelemetry's becomes the engine: Cancel reaches it, and it exports its spans.

    The collector is an HTTP server; Prefect makes a span of the flow run, and OpenTelemetry one of each request. The
    spans of the start are below that of the flow run, and the record of the start is an artifact on the run's page.
    """
    with running_server() as collector:
        collector.on("POST /api/v1/traces", Answer())
        environment = {
            "PREFECT_UV_EXTRA_PACKAGES": TRACING,
            "PREFECT_UV_ENGINE_WRAPPER": "sh -c '\"$@\"; exit $?' sh opentelemetry-instrument",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_SERVICE_NAME": "orders",
            "PREFECT_UV_RECORD": "artifact",
        }
        run = host.start(PREFECT, "flows.py:sleeping", environment=environment).wait_for_flow()
        run.cancel()
        code, _ = run.end()
        spans = b"".join(request.body for request in collector.requests)
        (ours,) = (item for item in collector.requests if item.headers["user-agent"].startswith("prefect-uv/"))
    assert (run.state.name, code, run.notes.count("on_cancellation")) == ("Cancelled", 0, 1), run.output
    assert (run.sigterms, run.left_behind()) == (1, [])
    assert all(text in spans for text in (b"orders", b"prefect.run.name", str(run.flow_run).encode())), run.output
    start = spans_of(ours)[0]
    label = host.api.client.read_flow_run(run.flow_run).labels["__OTEL_TRACEPARENT"]
    assert str(label).startswith(f"00-{start.trace_id.hex()}-{start.parent_span_id.hex()}-")
    assert start.trace_id in spans.replace(ours.body, b"")
    (artifact,) = host.api.artifacts(run.flow_run)
    assert (artifact.key, artifact.type) == ("prefect-uv-start", "markdown")
    assert f"`{run.flow_run}`" in str(artifact.data)


def _clean_up_again_and_again(host: Host) -> int:
    """Reschedule a share of the runs, one after the other; Prefect's client is not made for several threads."""
    rounds = CLEAN_UPS // LANES
    with Api.connect(host.server) as api:
        for _ in range(rounds):
            _reschedule_during_clean_up(replace(host, api=api))
    return rounds


def _reschedule_during_clean_up(host: Host) -> None:
    """Stop a run whose clean-up takes long, and start the next attempt meanwhile, as a worker does."""
    run = host.start(PREFECT, "flows.py:tidying", environment=RESCHEDULE).wait_for_flow()
    run.signal(signal.SIGTERM)
    run.wait_for("the run is rescheduled", lambda: run.state.name == "AwaitingRetry")
    host.api.submit(run.flow_run)
    with host.container(run.flow_run, run.folder, RESCHEDULE) as second:
        code, _ = run.end()
        wait_until(lambda: run.notes.count("tidied") == 1, "the clean-up of the first attempt", 60)
        wait_until(
            lambda: len([line for line in run.notes if line.startswith("engine")]) == 2, "the second attempt", 60
        )
        assert (run.state.name, code) == ("Running", 0), run.output
        host.api.client.set_flow_run_state(run.flow_run, Cancelling())
        assert second.wait(60) == 0
    names = [state.name for state in host.api.client.read_flow_run_states(run.flow_run)]
    assert names.count("AwaitingRetry") == 1, names
    assert run.state.name == "Cancelled"


@pytest.mark.timeout(7200 if FULL else 300)
def test_attempt_that_was_rescheduled_leaves_the_next_one_alone(host: Host) -> None:
    """The worker starts the next attempt while the clean-up of the first still runs: nobody reschedules it again."""
    host.project(PREFECT)
    with ThreadPoolExecutor(LANES) as pool:
        assert list(pool.map(_clean_up_again_and_again, [host] * LANES)) == [CLEAN_UPS // LANES] * LANES


def test_scheduled_run_whose_module_fails_to_import(host: Host) -> None:
    """A run that nobody set to Pending, as one that was started by hand, is Crashed and does not stay Scheduled."""
    run = host.start(PREFECT, "broken.py:none", submitted=False)
    code, _ = run.end()
    assert (run.state.name, code) == ("Crashed", 1), run.output


def test_second_container_waits_for_the_first(host: Host) -> None:
    """Stopping it changes nothing; when the first one is killed, the next container executes the run."""
    run = host.start(PREFECT, "flows.py:sleeping").wait_for_flow()
    with host.container(run.flow_run, run.folder, {}) as second, host.container(run.flow_run, run.folder, {}) as third:
        wait_until(lambda: run.output.count("executes this flow run: waiting until it has ended") == 2, "both wait", 60)
        second.terminate()
        assert second.wait(60) == 0
        assert (run.state.name, _engines(run)) == ("Running", 1), run.output
        run.process.kill()
        run.kill(run.engine)
        run.end()
        wait_until(lambda: _engines(run) == 2, f"the third executes the run\n{run.output}", 60)
        run.cancel()
        assert third.wait(60) == 0
    assert run.state.name == "Cancelled"


def test_kill_after_the_grace_period_is_reported_as_ours(host: Host) -> None:
    """The state says that the engine did not end in time and that we killed it, not that memory ran out."""
    environment = {"PREFECT_UV_CANCEL_GRACE_SECONDS": "1"}
    run = host.start(PREFECT, "flows.py:swallowing", environment=environment).wait_for_flow()
    run.signal(signal.SIGTERM)
    code, _ = run.end()
    assert (run.state.name, code) == ("Crashed", 143), run.output
    assert str(run.state.message).startswith(
        "SIGTERM arrived, the engine did not end within 1 s, and prefect-uv killed it"
    )


def test_flow_sees_nothing_of_the_channel(host: Host) -> None:
    """Processes that the flow starts do not have the channel's port and token in their environment."""
    run = host.start(PREFECT, "flows.py:daemonizing", {"seconds": 120}).wait_for_flow()
    run.wait_for("the child is there", lambda: run.children("sleep"))
    assert not any(b"PREFECT__CONTROL" in environment for environment in run.children("sleep"))
    run.cancel()
    assert run.end()[0] == 0


def test_memory_stays_small(host: Host) -> None:
    """The supervisor, including the event stream, needs less than 25 MB (PSS)."""
    run = host.start(PREFECT, "flows.py:sleeping").wait_for_flow()
    run.wait_for("the watch has the stream", lambda: _status(run).endswith("watch: stream"))
    pss = run.pss
    run.signal(signal.SIGTERM)
    run.end()
    assert pss < 25


def test_without_supervision_the_process_becomes_uv(host: Host) -> None:
    """PREFECT_UV_SUPERVISE=false: a warning says what is lost, and the exit code is the engine's."""
    run = host.start(PREFECT, "flows.py:exiting", {"code": 3}, {"PREFECT_UV_SUPERVISE": "false"})
    code, _ = run.end()
    assert (run.state.name, code) == ("Running", 3), run.output
    assert "warning: PREFECT_UV_SUPERVISE=false: cancellation, crashes and evictions" in run.output


def _engines(run: Run) -> int:
    """How many engines have executed the flow."""
    return len([line for line in run.notes if line.startswith("engine")])


def _status(run: Run) -> str:
    """The supervisor's answer to SIGUSR1."""
    run.process.send_signal(signal.SIGUSR1)
    answers = [line for line in run.output.splitlines() if line.startswith("prefect-uv: engine ")]
    return answers[-1] if answers else ""
