"""The REST client against a real HTTP server."""

from __future__ import annotations

import base64
import select
import socket
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import ClassVar

import pytest

from prefect_uv.api import transport
from prefect_uv.api.client import ApiClient
from prefect_uv.api.json_api import NotFoundError
from prefect_uv.api.patience import Patience
from prefect_uv.errors import ApiRefusedError, ApiUnauthorizedError, ApiUnreachableError, SettingsInvalidError
from tests.unit.conftest import MakeSettings
from tests.unit.http_server import Answer, Request, Server, running_server, serve

RUN = "0c7a4b5e-1111-4222-8333-444455556666"
SET_STATE = f"/api/flow_runs/{RUN}/set_state"
VERSION = "/api/admin/version"
ACCEPTED = Answer(201, {"status": "ACCEPT"})
CSRF_TOKEN = "/api/csrf-token"  # noqa: S105 (a path)


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries follow immediately."""
    monkeypatch.setattr(transport, "LONGEST_BACKOFF_SECONDS", 0)


@pytest.fixture
def paused(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that would have been made, in seconds."""
    seconds: list[float] = []

    def pause(_: Patience, asked: float) -> bool:
        seconds.append(asked)
        return True

    monkeypatch.setattr(Patience, "pause", pause)
    return seconds


def test_reads_flow_run_and_deployment(server: Server, make_settings: MakeSettings) -> None:
    """The flow run, the deployment and the version are returned as the API sends them."""
    server.on(f"GET /api/flow_runs/{RUN}", Answer(body={"id": RUN, "name": "brave-fox"}))
    server.on("GET /api/deployments/d", Answer(body={"entrypoint": "flow.py:main"}))
    server.on(f"GET {VERSION}", Answer(body="3.8.8"))
    api = ApiClient(make_settings())
    assert api.flow_run(RUN) == {"id": RUN, "name": "brave-fox"}
    assert api.deployment("d") == {"entrypoint": "flow.py:main"}
    assert api.version() == "3.8.8"


@pytest.mark.parametrize(
    ("variables", "authorization"),
    [
        ({}, None),
        ({"PREFECT_API_KEY": "pnu_key"}, "Bearer pnu_key"),
        ({"PREFECT_API_AUTH_STRING": "a:b"}, f"Basic {base64.b64encode(b'a:b').decode()}"),
        (
            {"PREFECT_API_AUTH_STRING": "a:b", "PREFECT_API_KEY": "pnu_key"},
            f"Basic {base64.b64encode(b'a:b').decode()}",
        ),
        ({"PREFECT_API_KEY": "pnu_key", "PREFECT_CLIENT_CUSTOM_HEADERS": '{"Authorization": "own"}'}, "own"),
    ],
)
def test_authorization(
    server: Server, make_settings: MakeSettings, variables: dict[str, str], authorization: str | None
) -> None:
    """A key is sent as a bearer token; an auth string takes precedence, and custom headers replace both."""
    server.on(f"GET {VERSION}", Answer(body="3.8.8"))
    ApiClient(make_settings(variables)).version()
    assert server.requests[0].headers.get("authorization") == authorization


def test_headers(server: Server, make_settings: MakeSettings) -> None:
    """The API version and custom headers are sent, and our own headers cannot be replaced."""
    server.on(f"GET {VERSION}", Answer(body="3.8.8"))
    custom = '{"X-Team": "data", "User-Agent": "mine", "Prefect-Csrf-Token": "x", "prefect-csrf-client": "y"}'
    ApiClient(make_settings(PREFECT_CLIENT_CUSTOM_HEADERS=custom)).version()
    headers = server.requests[0].headers
    assert headers["x-prefect-api-version"] == "0.8.4"
    assert headers["x-team"] == "data"
    assert headers["user-agent"].startswith("prefect-uv/")
    assert not {"prefect-csrf-token", "prefect-csrf-client"} & set(headers)


def test_csrf_token_is_fetched_once(server: Server, make_settings: MakeSettings) -> None:
    """The token is fetched once, and sent with our client id in every request that changes something."""
    server.on(f"GET {CSRF_TOKEN}", Answer(body={"token": "t1"}))
    server.on(f"POST {SET_STATE}", ACCEPTED)
    api = ApiClient(make_settings())
    api.set_state(RUN, "CRASHED")
    api.set_state(RUN, "CRASHED")
    (asked,) = server.to("GET", CSRF_TOKEN)
    for request in server.to("POST", SET_STATE):
        assert request.headers["prefect-csrf-token"] == "t1"
        assert asked.path == f"{CSRF_TOKEN}?client={request.headers['prefect-csrf-client']}"


@pytest.mark.parametrize("status", [404, 422])
def test_csrf_token_is_requested_once_if_the_server_has_none(
    server: Server, make_settings: MakeSettings, status: int
) -> None:
    """A server without CSRF protection is asked for a token only once."""
    server.on(f"GET {CSRF_TOKEN}", Answer(status, {"detail": "CSRF protection is disabled."}))
    server.on("POST /api/logs/", Answer(201))
    api = ApiClient(make_settings())
    api.send_logs([])
    api.send_logs([])
    assert len(server.to("GET", CSRF_TOKEN)) == 1
    assert "prefect-csrf-token" not in server.to("POST", "/api/logs/")[1].headers


def test_csrf_token_is_not_requested_if_switched_off(server: Server, make_settings: MakeSettings) -> None:
    """No token is requested with PREFECT_CLIENT_CSRF_SUPPORT_ENABLED=false, nor for reading."""
    server.on("POST /api/logs/", Answer(201))
    server.on(f"GET {VERSION}", Answer(body="3.8.8"))
    ApiClient(make_settings(PREFECT_CLIENT_CSRF_SUPPORT_ENABLED="false")).send_logs([])
    ApiClient(make_settings()).version()
    assert not server.to("GET", CSRF_TOKEN)


def test_csrf_token_is_renewed_once(server: Server, make_settings: MakeSettings) -> None:
    """A token that the server no longer accepts is fetched again, but only once."""
    server.on(f"GET {CSRF_TOKEN}", Answer(body={"token": "t1"}), Answer(body={"token": "t2"}))
    refused = Answer(403, {"detail": "Invalid CSRF token or client identifier."})
    server.on(f"POST {SET_STATE}", refused, ACCEPTED)
    ApiClient(make_settings()).set_state(RUN, "CRASHED")
    first, second = server.to("POST", SET_STATE)
    assert (first.headers["prefect-csrf-token"], second.headers["prefect-csrf-token"]) == ("t1", "t2")
    assert first.body == second.body
    server.on(f"POST {SET_STATE}", refused)
    with pytest.raises(ApiUnauthorizedError):
        ApiClient(make_settings()).set_state(RUN, "CRASHED")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 520, 524, 530])
def test_transient_failure_is_retried(server: Server, make_settings: MakeSettings, status: int) -> None:
    """Status codes of transient failures are retried."""
    server.on(f"GET {VERSION}", Answer(status), Answer(body="3.8.8"))
    assert ApiClient(make_settings()).version() == "3.8.8"


def test_extra_codes_are_retried(server: Server, make_settings: MakeSettings) -> None:
    """PREFECT_CLIENT_RETRY_EXTRA_CODES adds codes to retry; 409 is not retried by default."""
    server.on(f"GET {VERSION}", Answer(409), Answer(body="3.8.8"))
    with pytest.raises(ApiRefusedError):
        ApiClient(make_settings()).version()
    server.on(f"GET {VERSION}", Answer(409), Answer(body="3.8.8"))
    assert ApiClient(make_settings(PREFECT_CLIENT_RETRY_EXTRA_CODES="409")).version() == "3.8.8"


def test_retry_after_is_honoured(server: Server, make_settings: MakeSettings, paused: list[float]) -> None:
    """The pause before a retry is the one that the server asks for."""
    server.on(f"GET {VERSION}", Answer(429, headers={"Retry-After": "7"}), Answer(body="3.8.8"))
    ApiClient(make_settings()).version()
    assert paused == [7]


def test_maintenance_does_not_use_up_retries(server: Server, make_settings: MakeSettings) -> None:
    """The answers of a server under maintenance do not count as attempts."""
    maintenance = Answer(503, headers={"Prefect-Maintenance": "true"})
    server.on(f"GET {VERSION}", *[maintenance] * 4, Answer(503), Answer(body="3.8.8"))
    assert ApiClient(make_settings(PREFECT_CLIENT_MAX_RETRIES="1")).version() == "3.8.8"


def test_retries_are_bounded(server: Server, make_settings: MakeSettings) -> None:
    """After the last retry, the error has the status code and a hint."""
    server.on(f"GET {VERSION}", Answer(503, {"detail": "starting"}))
    with pytest.raises(ApiUnreachableError) as caught:
        ApiClient(make_settings(PREFECT_CLIENT_MAX_RETRIES="2")).version()
    assert len(server.requests) == 3
    assert "503" in caught.value.render()
    assert '{"detail": "starting"}' in caught.value.found
    assert caught.value.hint == "The API, or a gateway in front of it, is in trouble: look at its own log."


def test_refused_connection(make_settings: MakeSettings) -> None:
    """The error has the URL and the reason."""
    with running_server() as gone:
        url = gone.url
    with pytest.raises(ApiUnreachableError) as caught:
        ApiClient(make_settings(PREFECT_API_URL=url, PREFECT_CLIENT_MAX_RETRIES="1")).version()
    assert caught.value.headline == f"The Prefect API at {url} did not answer."
    assert "Connection refused" in caught.value.found
    assert caught.value.hint == "Check that PREFECT_API_URL can be reached from this container's network."


def test_slow_answer_times_out(server: Server, make_settings: MakeSettings) -> None:
    """An attempt takes no longer than PREFECT_API_REQUEST_TIMEOUT."""

    def slow(_: Request) -> Answer:
        time.sleep(0.5)
        return Answer(body="3.8.8")

    server.on(f"GET {VERSION}", slow)
    settings = make_settings(PREFECT_API_REQUEST_TIMEOUT="0.1", PREFECT_CLIENT_MAX_RETRIES="0")
    with pytest.raises(ApiUnreachableError, match="did not answer"):
        ApiClient(settings).version()


@pytest.mark.parametrize("status", [401, 403])
def test_rejected_credentials(server: Server, make_settings: MakeSettings, status: int) -> None:
    """401 and 403 are errors about the credentials, and are not retried."""
    server.on(f"GET {VERSION}", Answer(status, {"detail": "Unauthorized"}))
    with pytest.raises(ApiUnauthorizedError) as caught:
        ApiClient(make_settings(PREFECT_API_KEY="pnu_key")).version()
    assert len(server.requests) == 1
    assert caught.value.headline == f"The Prefect API at {server.url} rejected the credentials ({status})."
    assert "pnu_key" not in caught.value.render()


def test_not_found(server: Server, make_settings: MakeSettings) -> None:
    """404 is left to the caller, who knows what is missing, and is not retried."""
    with pytest.raises(NotFoundError):
        ApiClient(make_settings()).flow_run(RUN)
    assert len(server.requests) == 1


def test_secret_at_the_end_of_a_shortened_response_is_masked(server: Server, make_settings: MakeSettings) -> None:
    """A server that repeats our headers does not get half a key into the log, which nobody would recognize."""
    server.on(f"GET {VERSION}", Answer(422, f"{'x' * 490}pnu_0123456789".encode()))
    with pytest.raises(ApiRefusedError) as caught:
        ApiClient(make_settings(PREFECT_API_KEY="pnu_0123456789")).version()
    assert caught.value.found.endswith("x****")


@pytest.mark.parametrize("status", [400, 409, 422, 501, 505])
def test_other_error_statuses(server: Server, make_settings: MakeSettings, status: int) -> None:
    """Any other error has the server's response, shortened to 500 characters."""
    server.on(f"GET {VERSION}", Answer(status, {"detail": "x" * 9999}))
    with pytest.raises(ApiRefusedError) as caught:
        ApiClient(make_settings()).version()
    assert caught.value.headline == f"The Prefect API at {server.url} answered {status}."
    assert caught.value.found.startswith('GET /admin/version returned: {"detail": "xxx')
    assert len(caught.value.found) < 600


def test_answer_that_is_not_json(server: Server, make_settings: MakeSettings) -> None:
    """A URL that leads to a web page, such as one without /api, is the user's mistake and not our bug."""
    server.on(f"GET {VERSION}", Answer(body=b"<!doctype html><title>Prefect</title>"))
    with pytest.raises(ApiRefusedError):
        ApiClient(make_settings()).version()


def test_state_is_proposed_with_one_transition_id(server: Server, make_settings: MakeSettings) -> None:
    """Retries of a proposal have the same transition id, and the next proposal has another one."""
    server.on(f"POST {SET_STATE}", Answer(503), ACCEPTED)
    api = ApiClient(make_settings())
    assert api.set_state(RUN, "CRASHED", message="why") == {"status": "ACCEPT"}
    api.set_state(RUN, "CANCELLED", force=True)
    first, again, other = (request.json for request in server.to("POST", SET_STATE))
    assert first == again
    assert first["state"]["type"] == "CRASHED"
    assert first["state"]["message"] == "why"
    assert first["force"] is False
    assert other["force"] is True
    assert first["state"]["state_details"]["transition_id"] != other["state"]["state_details"]["transition_id"]


def test_logs_are_sent_twice_at_most(server: Server, make_settings: MakeSettings) -> None:
    """Log entries are retried only once."""
    server.on("POST /api/logs/", Answer(503))
    with pytest.raises((ApiUnreachableError, ApiRefusedError)):
        ApiClient(make_settings()).send_logs([{"message": "x"}])
    assert len(server.to("POST", "/api/logs/")) == 2


def _proxied(request: Request) -> Answer:
    return Answer(body=f"through the proxy to {request.path}")


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_proxy_is_used(server: Server, make_settings: MakeSettings, name: str) -> None:
    """Requests go through the proxy that one of the usual variables names."""
    address = "http://prefect.invalid/api"
    server.on(f"GET {address}/admin/version", _proxied)
    settings = make_settings({name: server.url.removesuffix("/api"), "PREFECT_API_URL": address})
    assert ApiClient(settings).version() == f"through the proxy to {address}/admin/version"


def test_proxy_gets_its_credentials(server: Server, make_settings: MakeSettings) -> None:
    """User and password in the proxy's URL are sent to the proxy."""
    address = "http://prefect.invalid/api"
    server.on(f"GET {address}/admin/version", _proxied)
    proxy = server.url.removesuffix("/api").replace("://", "://bot:hush@")
    ApiClient(make_settings({"HTTP_PROXY": proxy, "PREFECT_API_URL": address})).version()
    expected = f"Basic {base64.b64encode(b'bot:hush').decode()}"
    assert server.requests[0].headers.get("proxy-authorization") == expected


@pytest.mark.parametrize("value", ["127.0.0.1", "*", "other.example, 127.0.0.1"])
def test_no_proxy_bypasses_the_proxy(server: Server, make_settings: MakeSettings, value: str) -> None:
    """Hosts in NO_PROXY are connected to directly."""
    server.on(f"GET {VERSION}", Answer(body="3.8.8"))
    assert ApiClient(make_settings(HTTP_PROXY="http://127.0.0.1:9", NO_PROXY=value)).version() == "3.8.8"


@pytest.mark.parametrize("name", ["PREFECT_API_SSL_CERT_FILE", "SSL_CERT_FILE"])
def test_private_ca_is_trusted(tls_server: Server, make_settings: MakeSettings, certificates: Path, name: str) -> None:
    """A certificate signed by a CA in the given bundle is accepted."""
    settings = make_settings({name: str(certificates / "ca.pem"), "PREFECT_API_URL": tls_server.url})
    assert ApiClient(settings).version() == "3.8.8"


class Tunnel(BaseHTTPRequestHandler):
    """A proxy that only forwards connections, and records the credentials."""

    seen: ClassVar[list[str | None]] = []

    def do_CONNECT(self) -> None:
        """Pass bytes in both directions until one side closes."""
        self.seen.append(self.headers.get("Proxy-Authorization"))
        host, _, port = self.path.partition(":")
        with socket.create_connection((host, int(port)), timeout=5) as far:
            self.send_response(200)
            self.end_headers()
            while True:
                readable, _, _ = select.select([self.connection, far], [], [], 5)
                for near in readable:
                    data = near.recv(65536)
                    if not data:
                        return
                    (far if near is self.connection else self.connection).sendall(data)

    def log_message(self, *_: object) -> None:
        """Log nothing, to keep the test output readable."""


def test_tls_through_a_proxy(tls_server: Server, make_settings: MakeSettings, certificates: Path) -> None:
    """The proxy gets its credentials and forwards TLS, and the server gets none of them."""
    with serve(Tunnel) as port:
        settings = make_settings(
            HTTPS_PROXY=f"http://bot:hu%20sh@127.0.0.1:{port}",
            PREFECT_API_URL=tls_server.url,
            PREFECT_API_SSL_CERT_FILE=str(certificates / "ca.pem"),
        )
        assert ApiClient(settings).version() == "3.8.8"
    assert Tunnel.seen == [f"Basic {base64.b64encode(b'bot:hu sh').decode()}"]
    assert tls_server.requests[0].headers.get("proxy-authorization") is None


def test_unknown_ca_is_rejected(tls_server: Server, make_settings: MakeSettings) -> None:
    """A certificate signed by an unknown CA is an error that says so."""
    with pytest.raises(ApiUnreachableError) as caught:
        ApiClient(make_settings(PREFECT_API_URL=tls_server.url, PREFECT_CLIENT_MAX_RETRIES="0")).version()
    assert "certificate verify failed" in caught.value.found


def test_verification_can_be_switched_off(tls_server: Server, make_settings: MakeSettings) -> None:
    """With PREFECT_API_TLS_INSECURE_SKIP_VERIFY any certificate is accepted."""
    settings = make_settings(PREFECT_API_URL=tls_server.url, PREFECT_API_TLS_INSECURE_SKIP_VERIFY="true")
    assert ApiClient(settings).version() == "3.8.8"


def _missing(path: Path) -> None:
    path.unlink(missing_ok=True)


def _garbage(path: Path) -> None:
    path.write_text("no certificate")


@pytest.mark.parametrize("prepare", [_missing, _garbage])
def test_ca_file_that_cannot_be_read(
    make_settings: MakeSettings, tmp_path: Path, prepare: Callable[[Path], None]
) -> None:
    """A bundle that is missing or not a certificate is an invalid setting, and the error names its path."""
    bundle = tmp_path / "ca.pem"
    prepare(bundle)
    settings = make_settings(PREFECT_API_URL="https://127.0.0.1:9/api", PREFECT_API_SSL_CERT_FILE=str(bundle))
    with pytest.raises(SettingsInvalidError) as caught:
        ApiClient(settings)
    assert caught.value.headline == f"The CA bundle {bundle} cannot be read."
