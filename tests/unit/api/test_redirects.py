"""A redirect takes credentials nowhere: not to another origin, not back from it, and never from https to http."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_uv.api.client import ApiClient
from prefect_uv.errors import ApiRefusedError, ApiUnauthorizedError, SettingsInvalidError
from prefect_uv.urls import Origin
from tests.unit.conftest import MakeSettings
from tests.unit.http_server import Answer, Server, running_server

RUN = "0c7a4b5e-1111-4222-8333-444455556666"
VERSION = "/api/admin/version"
SET_STATE = f"/api/flow_runs/{RUN}/set_state"
CREDENTIALS = {
    "PREFECT_API_KEY": "pnu_hush",
    "PREFECT_CLIENT_CUSTOM_HEADERS": '{"X-Team": "hush", "Cookie": "session=hush", "CF-Access-Client-Secret": "hush"}',
}
PUBLIC = {
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "host",
    "user-agent",
    "x-prefect-api-version",
}


def to(url: str, status: int = 307) -> Answer:
    """A redirect."""
    return Answer(status, headers={"Location": url})


@pytest.fixture
def other() -> Iterator[Server]:
    """A server at another port."""
    with running_server() as server:
        server.on(f"GET {VERSION}", Answer(body="3.8.8"))
        server.on(f"POST {SET_STATE}", Answer(201, {"status": "ACCEPT"}))
        yield server


@pytest.fixture
def client(server: Server, make_settings: MakeSettings) -> ApiClient:
    """A client with every kind of credential, of a server that wants a CSRF token."""
    server.on("GET /api/csrf-token", Answer(body={"token": "hush"}))
    return ApiClient(make_settings(CREDENTIALS))


@pytest.fixture
def tls_client(tls_server: Server, make_settings: MakeSettings, certificates: Path) -> ApiClient:
    """A client with every kind of credential, of a server with TLS, which speaks plain HTTP on the same port, too."""
    own = {"PREFECT_API_URL": tls_server.url, "PREFECT_API_SSL_CERT_FILE": str(certificates / "ca.pem")}
    return ApiClient(make_settings({**CREDENTIALS, **own}))


@pytest.mark.parametrize("port", ["same", "other"])
def test_https_is_never_left_for_http(tls_server: Server, tls_client: ApiClient, other: Server, port: str) -> None:
    """A redirect from https to http is an error that names it, and nothing is sent without TLS."""
    target = (tls_server if port == "same" else other).url.replace("https://", "http://") + "/admin/version"
    tls_server.on(f"GET {VERSION}", to(target), Answer(body="3.8.8"))
    with pytest.raises(ApiRefusedError) as caught:
        tls_client.version()
    assert caught.value.found == (
        f"GET /admin/version redirects from https to {target}:"
        " without TLS, everyone on the way could read and change the requests"
    )
    assert tls_client.version() == "3.8.8"
    assert [request.secure for request in (*tls_server.requests, *other.requests)] == [True, True]


def test_connections_are_kept_by_scheme(tls_server: Server, make_settings: MakeSettings, certificates: Path) -> None:
    """A connection that a redirect opened to the same host and port serves only the scheme that it has."""
    plain = tls_server.url.replace("https://", "http://")
    redirect = to(f"{tls_server.url}/admin/version")
    tls_server.on(f"GET {VERSION}", redirect, Answer(body="1"), redirect, Answer(body="2"))
    own = {"PREFECT_API_URL": plain, "PREFECT_API_SSL_CERT_FILE": str(certificates / "ca.pem")}
    client = ApiClient(make_settings({**CREDENTIALS, **own}))
    assert [client.version(), client.version()] == ["1", "2"]
    assert [request.secure for request in tls_server.requests] == [False, True, False, True]
    assert len({request.peer for request in tls_server.requests}) == 2
    assert [request.headers.get("cookie") for request in tls_server.requests] == ["session=hush", None] * 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_another_origin_gets_no_credentials(client: ApiClient, server: Server, other: Server, status: int) -> None:
    """Neither the key nor custom headers, cookies or the CSRF token go to another port, and nothing else is lost."""
    server.on(f"GET {VERSION}", to(f"{other.url}/admin/version", status))
    assert client.version() == "3.8.8"
    (request,) = other.requests
    assert set(request.headers) <= PUBLIC
    assert {"user-agent", "x-prefect-api-version"} <= set(request.headers)


def test_another_origin_gets_no_csrf_token(client: ApiClient, server: Server, other: Server) -> None:
    """A proposal that is redirected has its body, and no credentials."""
    server.on(f"POST {SET_STATE}", to(f"{other.url}/flow_runs/{RUN}/set_state"))
    client.set_state(RUN, "CRASHED")
    assert server.to("POST", SET_STATE)[0].headers["prefect-csrf-token"] == "hush"
    (request,) = other.requests
    assert set(request.headers) <= PUBLIC
    assert request.json["state"]["type"] == "CRASHED"


def test_another_origin_cannot_send_us_back_with_credentials(client: ApiClient, server: Server, other: Server) -> None:
    """A redirect back to the API gets no credentials, because the other origin chose what we ask for."""
    server.on(f"GET {VERSION}", to(f"{other.url}/admin/version"))
    server.on("GET /api/admin/settings", Answer(body="chosen by the other"))
    other.on(f"GET {VERSION}", to(f"{server.url}/admin/settings"))
    client.version()
    assert set(server.to("GET", "/api/admin/settings")[0].headers) <= PUBLIC


def test_same_origin_gets_the_credentials(client: ApiClient, server: Server) -> None:
    """A redirect within the API is followed with all of them."""
    server.on(f"GET {VERSION}", to("/api/v2/version"))
    server.on("GET /api/v2/version", Answer(body="3.8.8"))
    assert client.version() == "3.8.8"
    headers = server.to("GET", "/api/v2/version")[0].headers
    assert (headers["authorization"], headers["x-team"]) == ("Bearer pnu_hush", "hush")


def test_missing_credentials_are_explained(client: ApiClient, server: Server, other: Server) -> None:
    """If the other origin wants credentials, the error says why it got none."""
    server.on(f"GET {VERSION}", to(f"{other.url}/admin/version"))
    other.on(f"GET {VERSION}", Answer(401))
    with pytest.raises(ApiUnauthorizedError) as caught:
        client.version()
    assert f"redirected to {other.url}/admin/version without credentials" in caught.value.found


@pytest.mark.parametrize(
    ("url", "target", "trusted"),
    [
        ("http://api.example/a", "http://API.example:80/b", True),
        ("https://api.example/a", "https://api.example:443/b", True),
        ("http://api.example/a", "https://api.example/b", True),
        ("http://api.example/a", "https://api.example:8443/b", False),
        ("http://api.example:4200/a", "https://api.example:4200/b", False),
        ("http://api.example:4200/a", "https://api.example/b", False),
        ("http://api.example/a", "https://evil.example/b", False),
        ("https://api.example/a", "https://api.example.evil/b", False),
        ("https://api.example/a", "https://api.example@evil.example/b", False),
        ("http://api.example:4200/a", "http://api.example:4201/b", False),
        ("https://api.example/a", "http://api.example/b", False),
        ("https://api.example/a", "http://api.example:443/b", False),
    ],
)
def test_origins_that_share_credentials(url: str, target: str, *, trusted: bool) -> None:
    """Scheme, host and port must be the same; only the usual step from http to https leads to the same API."""
    assert Origin.of(url).trusts(Origin.of(target)) is trusted


@pytest.mark.parametrize(
    "location",
    ["http://[::1", "http://", "//", "ftp://127.0.0.1/", "javascript:alert(1)", "http://h:99999/", "http://h:x/"],
)
def test_location_that_is_no_url(client: ApiClient, server: Server, location: str) -> None:
    """The error names the location."""
    server.on(f"GET {VERSION}", to(location))
    with pytest.raises(ApiRefusedError, match="redirects to where prefect-uv does not follow") as caught:
        client.version()
    assert location in caught.value.found


def test_redirect_loop(client: ApiClient, server: Server) -> None:
    """After five redirects, the error says so."""
    server.on(f"GET {VERSION}", to(VERSION))
    with pytest.raises(ApiRefusedError) as caught:
        client.version()
    assert caught.value.found.startswith("GET /admin/version redirects more than 5 times, at last to http://127.")
    assert len(server.requests) == 6


def test_redirect_goes_through_the_proxy_of_its_target(
    server: Server, other: Server, make_settings: MakeSettings
) -> None:
    """NO_PROXY and the proxies apply to each origin of its own."""
    server.on(f"GET {VERSION}", to("http://elsewhere.invalid/api/admin/version"))
    other.on("GET http://elsewhere.invalid/api/admin/version", Answer(body="through the proxy"))
    proxies = {"HTTP_PROXY": other.url.removesuffix("/api"), "NO_PROXY": server.url.split("/")[2]}
    assert ApiClient(make_settings(proxies)).version() == "through the proxy"


@pytest.mark.parametrize("proxy", ["https://bot:hush@127.0.0.1:9", "socks5://bot:hush@127.0.0.1:9", "http://[::1"])
def test_proxy_that_cannot_be_used(make_settings: MakeSettings, proxy: str) -> None:
    """A password for a proxy with TLS is not sent to it without; the error names the variable and no password."""
    with pytest.raises(SettingsInvalidError) as caught:
        ApiClient(make_settings(HTTP_PROXY=proxy))
    assert caught.value.headline.startswith("The proxy in HTTP_PROXY cannot be used for the Prefect API: ")
    assert "hush" not in caught.value.render()
