"""Connections to the API are kept, replaced when the server closes them, and redirected."""

from __future__ import annotations

import pytest

from prefect_uv.api.patience import RetryPolicy
from prefect_uv.api.transport import ApiRequest, Transport
from tests.unit.conftest import MakeSettings
from tests.unit.http_server import Answer, Server

ONCE = RetryPolicy(0, 5)
LOOK = ApiRequest("GET", "/x", None, {}, {})


def test_see_other_is_followed_with_get(server: Server, make_settings: MakeSettings) -> None:
    """After 303 the result is fetched with GET."""
    server.on("POST /api/change", Answer(303, headers={"Location": "/api/result"}))
    server.on("GET /api/result", Answer(body="done"))
    assert Transport(make_settings()).send(ApiRequest("POST", "/change", b"{}", {}, {}), ONCE).data == b'"done"'


def test_connection_is_reused(server: Server, make_settings: MakeSettings) -> None:
    """Two requests use one connection."""
    server.on("GET /api/x", Answer(body="x"))
    transport = Transport(make_settings())
    for _ in range(2):
        transport.send(LOOK, ONCE)
    assert len({request.peer for request in server.requests}) == 1


def test_connection_closed_by_the_server_is_replaced(server: Server, make_settings: MakeSettings) -> None:
    """A closed connection does not use up an attempt: the request is sent again even without retries."""
    server.on("GET /api/x", Answer(body="x", hangs_up=True), Answer(body="x"))
    transport = Transport(make_settings())
    transport.send(LOOK, ONCE)
    assert transport.send(LOOK, ONCE).data == b'"x"'


@pytest.mark.parametrize("retry_after", ["Wed, 21 Oct 2015 07:28:00 GMT", "soon"])
def test_retry_after_as_a_date_or_nonsense(server: Server, make_settings: MakeSettings, retry_after: str) -> None:
    """A date in the past and an invalid value do not delay the next attempt."""
    server.on("GET /api/x", Answer(503, headers={"Retry-After": retry_after}), Answer(body="x"))
    assert Transport(make_settings()).send(LOOK, RetryPolicy(1, 5)).data == b'"x"'
