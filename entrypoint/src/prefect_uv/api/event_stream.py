"""The server's event stream, as far as one flow run's cancellation is concerned.

The handshake of `prefect/events/clients.py` (`PrefectEventSubscriber`, 3.0 to 3.8.8): subprotocol `prefect`, a message
with the API key or the auth string, then a filter. The server sends events of this run only, and none from before.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from prefect_uv.api.connection import tls_context
from prefect_uv.settings import Settings

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

EVENTS = ["prefect.flow-run.Cancelling", "prefect.flow-run.Cancelled"]
CONNECT_SECONDS = 10.0
NO_END = timedelta(days=3650)
RESERVED_HEADERS = {"host", "connection", "upgrade", "user-agent", "authorization"}


class StreamError(Exception):
    """The stream cannot be had, or has ended."""


class Stream:
    """An open subscription."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    def wait(self, seconds: float) -> bool:
        """Wait for an event of the run; False when there was none in this time.

        Raises:
            StreamError: the connection is lost.
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
def subscribe(settings: Settings, flow_run_id: str) -> Iterator[Stream]:
    """Subscribe to the cancellation of a flow run; `websockets` is imported here, so that no start waits for it.

    Raises:
        StreamError: the server has no stream for us.
    """
    from websockets.exceptions import WebSocketException  # noqa: PLC0415
    from websockets.sync.client import connect  # noqa: PLC0415

    url = "ws" + settings.api_url.removeprefix("http") + "/events/out"
    options: dict[str, Any] = {"ssl": tls_context(settings)} if url.startswith("wss://") else {}
    extra = {k: v for k, v in (settings.api_headers or {}).items() if k.lower() not in RESERVED_HEADERS}
    try:
        connection = connect(
            url,
            subprotocols=["prefect"],  # type: ignore[list-item]
            additional_headers=extra,
            compression=None,
            open_timeout=CONNECT_SECONDS,
            close_timeout=1,
            **options,
        )
        with connection:
            _introduce(connection, settings, flow_run_id)
            yield Stream(connection)
    except (OSError, TimeoutError, WebSocketException, ValueError) as error:
        raise StreamError(str(error) or type(error).__name__) from None


def _introduce(connection: ClientConnection, settings: Settings, flow_run_id: str) -> None:
    token = settings.api_auth_string or settings.api_key or None
    connection.send(json.dumps({"type": "auth", "token": token}))
    answer = json.loads(connection.recv(timeout=CONNECT_SECONDS))
    if answer.get("type") != "auth_success":
        raise StreamError(f"not authorized: {answer.get('reason') or answer}")
    connection.send(json.dumps({"type": "filter", "backfill": False, "filter": _filter(flow_run_id)}))


def _filter(flow_run_id: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "occurred": {"since": now.isoformat(), "until": (now + NO_END).isoformat()},
        "event": {"name": EVENTS},
        "resource": {"id": [f"prefect.flow-run.{flow_run_id}"]},
    }
