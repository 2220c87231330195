"""Our watch gives its websocket back if websockets take up all requests that Prefect's server on SQLite can handle."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from prefect.states import Running

from prefect_uv.api import cancellation_watch as watch_module
from prefect_uv.api.cancellation_watch import CancellationWatch
from prefect_uv.api.client import ApiClient as OurApi
from prefect_uv.api.event_stream import subscribe
from prefect_uv.api.flow_run import FlowRun
from prefect_uv.settings import Settings
from tests.stack.api import Api
from tests.stack.process import wait_until
from tests.stack.server import PrefectServer, is_healthy

MOST_STREAMS = 99  # the server's own lifespan takes the hundredth place


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PrefectServer]:
    """A separate server, because no other test could use it meanwhile."""
    with PrefectServer.start("127.0.0.1", "", tmp_path) as running:
        yield running


@contextmanager
def subscribed(settings: Settings, flow_run: str, count: int) -> Iterator[None]:
    """Hold this many event streams, like other runs."""
    with ExitStack() as others:
        for _ in range(count):
            others.enter_context(subscribe(settings, flow_run))
        yield


def test_stream_is_closed_when_the_server_is_full(server: PrefectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our stream is the last one that the server can handle: it does not respond until the watch closes the stream."""
    settings = Settings.from_environ(server.environment)
    with Api.connect(server) as api:
        run = api.create_run(api.deploy("crowded", "flow.py:flow", []))
        api.submit(run)
        api.client.set_flow_run_state(run, Running())
    flow_run = FlowRun(OurApi(settings), str(run))
    monkeypatch.setattr(watch_module, "FIRST_SECONDS", 0)
    with subscribed(settings, str(run), MOST_STREAMS - 1):
        assert is_healthy(server.url)
        watch = CancellationWatch(settings, flow_run, lambda: None)
        try:
            wait_until(lambda: watch.source == "stream", "the stream", 30)
            wait_until(lambda: not is_healthy(server.url), "the server to be full", 30)
            wait_until(lambda: watch.source == "polling", "the stream to be closed", 60)
            wait_until(lambda: is_healthy(server.url), "the server to answer again", 60)
        finally:
            watch.close()
