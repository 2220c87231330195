"""Connections to the API: kept, dropped by the server, redirected, led through a proxy."""

from __future__ import annotations

import pytest

from prefect_uv.api.transport import HttpRequest, RetryPolicy, Transport
from tests.unit.conftest import MakeSettings
from tests.unit.http_server import Answer, Server, running_server

ONCE = RetryPolicy(0, 5)
SECRET = {"Authorization": "Bearer hush", "X-Team": "data"}


def test_redirect_is_followed(server: Server, make_settings: MakeSettings) -> None:
    """As Prefect's own client does; the same host gets the credentials."""
    server.on("GET /api/old", Answer(307, headers={"Location": "/api/new"}))
    server.on("GET /api/new", Answer(body="here"))
    answer = Transport(make_settings()).send(HttpRequest("GET", "/old", None, SECRET), ONCE)
    assert (answer.status, answer.data) == (200, b'"here"')
    assert server.to("GET", "/api/new")[0].headers.get("authorization") == "Bearer hush"


def test_another_host_does_not_get_the_credentials(server: Server, make_settings: MakeSettings) -> None:
    """A redirect to somebody else carries every header but the authorization."""
    with running_server() as other:
        other.on("GET /api/new", Answer(body="there"))
        server.on("GET /api/old", Answer(302, headers={"Location": f"{other.url}/new"}))
        answer = Transport(make_settings()).send(HttpRequest("GET", "/old", None, SECRET), ONCE)
        assert answer.data == b'"there"'
        headers = other.requests[0].headers
    assert (headers.get("authorization"), headers.get("x-team")) == (None, "data")


def test_see_other_is_fetched(server: Server, make_settings: MakeSettings) -> None:
    """303 turns a change into a look at its result."""
    server.on("POST /api/change", Answer(303, headers={"Location": "/api/result"}))
    server.on("GET /api/result", Answer(body="done"))
    assert Transport(make_settings()).send(HttpRequest("POST", "/change", b"{}", {}), ONCE).data == b'"done"'


def test_redirects_in_a_circle_end(server: Server, make_settings: MakeSettings) -> None:
    """The last redirect is the answer."""
    server.on("GET /api/round", Answer(302, headers={"Location": "/api/round"}))
    assert Transport(make_settings()).send(HttpRequest("GET", "/round", None, {}), ONCE).status == 302
    assert len(server.requests) == 5


def test_connection_is_used_again(server: Server, make_settings: MakeSettings) -> None:
    """Two requests, one connection."""
    server.on("GET /api/x", Answer(body="x"))
    transport = Transport(make_settings())
    for _ in range(2):
        transport.send(HttpRequest("GET", "/x", None, {}), ONCE)
    assert len({request.peer for request in server.requests}) == 1


def test_connection_that_the_server_has_closed_is_replaced(server: Server, make_settings: MakeSettings) -> None:
    """It is not an attempt: the request goes out again at once, also without retries."""
    server.on("GET /api/x", Answer(body="x", hangs_up=True), Answer(body="x"))
    transport = Transport(make_settings())
    transport.send(HttpRequest("GET", "/x", None, {}), ONCE)
    assert transport.send(HttpRequest("GET", "/x", None, {}), ONCE).data == b'"x"'


@pytest.mark.parametrize("told", ["Wed, 21 Oct 2015 07:28:00 GMT", "soon"])
def test_retry_after_as_a_date_or_nonsense(server: Server, make_settings: MakeSettings, told: str) -> None:
    """A date that is over and a text that is none do not hold the next attempt up."""
    server.on("GET /api/x", Answer(503, headers={"Retry-After": told}), Answer(body="x"))
    assert Transport(make_settings()).send(HttpRequest("GET", "/x", None, {}), RetryPolicy(1, 5)).data == b'"x"'
