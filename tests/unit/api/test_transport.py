"""Connections to the API are kept, replaced when the server closes them, and redirected."""

from __future__ import annotations

import pytest

from prefect_uv.api.transport import HttpRequest, RetryPolicy, Transport
from tests.unit.conftest import MakeSettings
from tests.unit.http_server import Answer, Server, running_server

ONCE = RetryPolicy(0, 5)
SECRET = {"Authorization": "Bearer hush", "X-Team": "data"}


def test_redirect_is_followed(server: Server, make_settings: MakeSettings) -> None:
    """A redirect is followed, and the same host gets the credentials."""
    server.on("GET /api/old", Answer(307, headers={"Location": "/api/new"}))
    server.on("GET /api/new", Answer(body="here"))
    answer = Transport(make_settings()).send(HttpRequest("GET", "/old", None, SECRET), ONCE)
    assert (answer.status, answer.data) == (200, b'"here"')
    assert server.to("GET", "/api/new")[0].headers.get("authorization") == "Bearer hush"


def test_another_host_does_not_get_the_credentials(server: Server, make_settings: MakeSettings) -> None:
    """A redirect to another host has all headers except the authorization."""
    with running_server() as other:
        other.on("GET /api/new", Answer(body="there"))
        server.on("GET /api/old", Answer(302, headers={"Location": f"{other.url}/new"}))
        answer = Transport(make_settings()).send(HttpRequest("GET", "/old", None, SECRET), ONCE)
        assert answer.data == b'"there"'
        headers = other.requests[0].headers
    assert (headers.get("authorization"), headers.get("x-team")) == (None, "data")


def test_see_other_is_followed_with_get(server: Server, make_settings: MakeSettings) -> None:
    """After 303 the result is fetched with GET."""
    server.on("POST /api/change", Answer(303, headers={"Location": "/api/result"}))
    server.on("GET /api/result", Answer(body="done"))
    assert Transport(make_settings()).send(HttpRequest("POST", "/change", b"{}", {}), ONCE).data == b'"done"'


def test_redirect_loop_ends(server: Server, make_settings: MakeSettings) -> None:
    """After five redirects the last one is the response."""
    server.on("GET /api/round", Answer(302, headers={"Location": "/api/round"}))
    assert Transport(make_settings()).send(HttpRequest("GET", "/round", None, {}), ONCE).status == 302
    assert len(server.requests) == 5


def test_connection_is_reused(server: Server, make_settings: MakeSettings) -> None:
    """Two requests use one connection."""
    server.on("GET /api/x", Answer(body="x"))
    transport = Transport(make_settings())
    for _ in range(2):
        transport.send(HttpRequest("GET", "/x", None, {}), ONCE)
    assert len({request.peer for request in server.requests}) == 1


def test_connection_closed_by_the_server_is_replaced(server: Server, make_settings: MakeSettings) -> None:
    """A closed connection does not use up an attempt: the request is sent again even without retries."""
    server.on("GET /api/x", Answer(body="x", hangs_up=True), Answer(body="x"))
    transport = Transport(make_settings())
    transport.send(HttpRequest("GET", "/x", None, {}), ONCE)
    assert transport.send(HttpRequest("GET", "/x", None, {}), ONCE).data == b'"x"'


@pytest.mark.parametrize("retry_after", ["Wed, 21 Oct 2015 07:28:00 GMT", "soon"])
def test_retry_after_as_a_date_or_nonsense(server: Server, make_settings: MakeSettings, retry_after: str) -> None:
    """A date in the past and an invalid value do not delay the next attempt."""
    server.on("GET /api/x", Answer(503, headers={"Retry-After": retry_after}), Answer(body="x"))
    assert Transport(make_settings()).send(HttpRequest("GET", "/x", None, {}), RetryPolicy(1, 5)).data == b'"x"'
