"""Subscribing to the server's events about the cancellation of one flow run.

The handshake is Prefect's: the subprotocol `prefect`, a message with the auth string or the API key, then a filter, so
that the server sends only new events and only those of this run. If both credentials are set we send the auth string,
as Prefect's REST client does; its event client prefers the API key.

Prefect 3.0.0 to 3.8.8: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/events/clients.py
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from prefect_uv.api.connections.connection import connect_tcp, tls_context
from prefect_uv.api.documents import AUTHENTICATION
from prefect_uv.settings import Settings
from prefect_uv.shapes import mismatch
from prefect_uv.urls import Origin

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

EVENTS = ["prefect.flow-run.Cancelling", "prefect.flow-run.Cancelled"]
CONNECT_SECONDS = 10.0
FAR_FUTURE = timedelta(days=3650)
# Prefect 3.8.8 protects most of these, we also `authorization`: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/_internal/websockets.py
RESERVED_HEADERS = {"host", "connection", "upgrade", "user-agent", "authorization"}


class StreamError(Exception):
    """The stream cannot be opened, or has ended."""


class EventStream:
    """An open subscription."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    def wait(self, seconds: float) -> bool:
        """Wait for an event of the run; return False if none arrives in time.

        Raises:
            StreamError: the connection was lost.
        """
        from websockets.exceptions import WebSocketException  # noqa: PLC0415 (see subscribe)

        try:
            self._connection.recv(timeout=seconds)
        except TimeoutError:
            return False
        except (OSError, WebSocketException) as error:
            raise StreamError(str(error) or type(error).__name__) from None
        return True


@contextmanager
def subscribe(settings: Settings, flow_run_id: str) -> Iterator[EventStream]:
    """Subscribe to the cancellation of a flow run; `websockets` is imported only here, so no start waits for it.

    Raises:
        StreamError: the stream cannot be opened, or has ended.
    """
    from websockets.exceptions import WebSocketException  # noqa: PLC0415
    from websockets.sync.client import connect  # noqa: PLC0415

    url = "ws" + settings.api_url.removeprefix("http") + "/events/out"
    origin = Origin.of(settings.api_url)
    options: dict[str, Any] = {"ssl": tls_context(settings)} if url.startswith("wss://") else {}
    custom = settings.api_headers or {}
    headers = {name: value for name, value in custom.items() if name.lower() not in RESERVED_HEADERS}
    try:
        connection = connect(
            url,
            # websockets 17.4 would follow a redirect to another origin, which would get the token; not if it is given a
            # socket: https://websockets.readthedocs.io/en/stable/reference/sync/client.html
            sock=connect_tcp(settings, origin, CONNECT_SECONDS),
            subprotocols=["prefect"],  # type: ignore[list-item]
            additional_headers=headers,
            compression=None,
            open_timeout=CONNECT_SECONDS,
            close_timeout=1,
            **options,
        )
        with connection:
            _authenticate(connection, settings)
            connection.send(json.dumps({"type": "filter", "backfill": False, "filter": _filter(flow_run_id)}))
            yield EventStream(connection)
    except (OSError, HTTPException, WebSocketException, ValueError, RecursionError) as error:
        raise StreamError(str(error) or type(error).__name__) from None


def _authenticate(connection: ClientConnection, settings: Settings) -> None:
    token = settings.api_auth_string or settings.api_key or None
    connection.send(json.dumps({"type": "auth", "token": token}))
    answer = json.loads(connection.recv(timeout=CONNECT_SECONDS))
    if mismatch(answer, AUTHENTICATION) or answer["type"] != "auth_success":
        raise StreamError(f"not authorized: {answer}")


def _filter(flow_run_id: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "occurred": {"since": now.isoformat(), "until": (now + FAR_FUTURE).isoformat()},
        "event": {"name": EVENTS},
        "resource": {"id": [f"prefect.flow-run.{flow_run_id}"]},
    }
