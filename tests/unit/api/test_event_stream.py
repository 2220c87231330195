"""The handshake of the event stream, against a real websocket server that stands in for Prefect's."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.sync.server import ServerConnection, serve

from prefect_uv.api.event_stream import StreamError, subscribe
from prefect_uv.settings import Settings
from tests.unit.http_server import Answer, Server

RUN = "0c7a4b5e-1111-4222-8333-444455556666"


class StreamServer:
    """The server's side: records the messages, and gives `answer` to the authentication."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.headers: dict[str, str] = {}
        self.answer: Any = {"type": "auth_success"}
        self.url = ""
        self.stay = threading.Event()

    def __call__(self, connection: ServerConnection) -> None:
        """Serve one connection: authentication, filter, one event, end."""
        assert connection.request is not None
        self.headers = dict(connection.request.headers.raw_items()) | {"path": connection.request.path}
        self.messages.append(json.loads(connection.recv()))
        connection.send(json.dumps(self.answer))
        if self.answer != {"type": "auth_success"}:
            return
        self.messages.append(json.loads(connection.recv()))
        connection.send(json.dumps({"type": "event", "event": {}}))
        self.stay.wait(10)


@pytest.fixture
def stream() -> Iterator[StreamServer]:
    """A running server."""
    handler = StreamServer()
    with serve(handler, "127.0.0.1", 0, subprotocols=["prefect"]) as server:  # type: ignore[list-item]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        handler.url = f"http://127.0.0.1:{server.socket.getsockname()[1]}/api"
        yield handler
        handler.stay.set()
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("variables", "token"),
    [
        ({"PREFECT_API_KEY": "pnu_key"}, "pnu_key"),
        ({"PREFECT_API_AUTH_STRING": "user:word"}, "user:word"),
        ({"PREFECT_API_KEY": "pnu_key", "PREFECT_API_AUTH_STRING": "user:word"}, "user:word"),
        ({}, None),
    ],
)
def test_subscription_is_for_this_run_only(stream: StreamServer, variables: dict[str, str], token: str | None) -> None:
    """The subscription sends the token, a filter for new events of this run alone, and custom headers."""
    custom = {"PREFECT_CLIENT_CUSTOM_HEADERS": '{"X-Team": "data", "Host": "elsewhere"}'}
    settings = Settings.from_environ({"PREFECT_API_URL": stream.url, **custom, **variables})
    with subscribe(settings, RUN) as subscription:
        assert subscription.wait(10)
        assert not subscription.wait(0.01)
        stream.stay.set()
        with pytest.raises(StreamError):
            subscription.wait(10)
    authentication, subscribed = stream.messages
    assert authentication == {"type": "auth", "token": token}
    assert subscribed["backfill"] is False
    assert subscribed["filter"]["resource"] == {"id": [f"prefect.flow-run.{RUN}"]}
    assert subscribed["filter"]["event"] == {"name": ["prefect.flow-run.Cancelling", "prefect.flow-run.Cancelled"]}
    assert (stream.headers["path"], stream.headers["X-Team"]) == ("/api/events/out", "data")
    assert stream.headers["Host"] != "elsewhere"


def test_rejected_token_is_an_error_with_its_reason(stream: StreamServer) -> None:
    """The error has the reason that the server gives for rejecting the token."""
    stream.answer = {"type": "auth_failure", "reason": "wrong"}
    with (
        pytest.raises(StreamError, match=r"not authorized: .*wrong"),
        subscribe(Settings.from_environ({"PREFECT_API_URL": stream.url}), RUN),
    ):
        raise AssertionError


@pytest.mark.parametrize("answer", [[], "yes", 1, None, {}, {"type": 1}, {"type": ["auth_success"]}])
def test_foreign_answer_is_an_error(stream: StreamServer, answer: Any) -> None:
    """Anything but a success is an error of the stream, which the watch survives."""
    stream.answer = answer
    with (
        pytest.raises(StreamError, match="not authorized"),
        subscribe(Settings.from_environ({"PREFECT_API_URL": stream.url}), RUN),
    ):
        raise AssertionError


def test_redirect_does_not_get_the_token(stream: StreamServer, server: Server) -> None:
    """A redirect of the stream is an error, and nothing is sent to where it leads (websockets 17 would follow it)."""
    server.on(
        "GET /api/events/out", Answer(307, headers={"Location": f"{stream.url.replace('http', 'ws')}/events/out"})
    )
    custom = {"PREFECT_API_KEY": "hush", "PREFECT_CLIENT_CUSTOM_HEADERS": '{"X-Team": "hush"}'}
    with (
        pytest.raises(StreamError),
        subscribe(Settings.from_environ({"PREFECT_API_URL": server.url, **custom}), RUN),
    ):
        raise AssertionError
    assert len(server.requests) == 1
    assert (stream.messages, stream.headers) == ([], {})


def test_server_without_a_stream_is_an_error(stream: StreamServer) -> None:
    """A server that cannot be connected to is an error."""
    unreachable = Settings.from_environ({"PREFECT_API_URL": "http://127.0.0.1:9/api"})
    with pytest.raises(StreamError), subscribe(unreachable, RUN):
        raise AssertionError(stream)
