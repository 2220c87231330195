"""A small client for Prefect's REST API, so that a start does not have to import Prefect.

URLs, headers, CSRF tokens, retried status codes and Retry-After are those of Prefect 3.8.8; the back-off is our own.

Prefect 3.8.8: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/client/base.py
Prefect 3.8.8: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/client/orchestration/__init__.py
"""

from __future__ import annotations

import json
import threading
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from prefect_uv import __version__
from prefect_uv.api.connection import basic_authorization
from prefect_uv.api.transport import HttpRequest, HttpResponse, RetryPolicy, Transport, UnansweredError
from prefect_uv.errors import ApiRefusedError, ApiUnauthorizedError, ApiUnreachableError
from prefect_uv.log.mask import Mask
from prefect_uv.processes.signals import call_in_thread
from prefect_uv.settings import Settings

# Prefect 3.8.8: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/client/constants.py (SERVER_API_VERSION)
API_VERSION = "0.8.4"
OWN_HEADERS = {"user-agent", "prefect-csrf-token", "prefect-csrf-client"}
UNAUTHORIZED = {401, 403}
OK = 200
NOT_FOUND = 404
CSRF_OFF = {404, 422}
MASKED_BYTES = 10_000

Json = dict[str, Any]


class NotFoundError(Exception):
    """The API answered 404; the caller knows what was not found, and says so."""


class ApiClient:
    """The API at `PREFECT_API_URL`; safe to use from several threads.

    Every method raises ApiUnreachableError, ApiUnauthorizedError, ApiRefusedError or NotFoundError.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._transport = Transport(settings)
        self._headers = _base_headers(settings)
        self._csrf_client = str(uuid4())
        self._csrf_token: str | None = None
        self._csrf = settings.api_csrf
        self._lock = threading.Lock()

    def version(self) -> str:
        """The server's version of Prefect."""
        return str(self._request("GET", "/admin/version"))

    def flow_run(self, flow_run_id: str, policy: RetryPolicy | None = None) -> Json:
        """The flow run as the API returns it."""
        document: Json = self._request("GET", f"/flow_runs/{flow_run_id}", policy=policy)
        return document

    def deployment(self, deployment_id: str) -> Json:
        """The deployment as the API returns it."""
        document: Json = self._request("GET", f"/deployments/{deployment_id}")
        return document

    def block(self, type_slug: str, name: str) -> Json:
        """A block document, secrets included."""
        path = f"/block_types/slug/{quote(type_slug)}/block_documents/name/{quote(name)}?include_secrets=true"
        document: Json = self._request("GET", path)
        return document

    def block_by_id(self, document_id: str) -> Json:
        """A block document, secrets included."""
        document: Json = self._request("GET", f"/block_documents/{quote(document_id)}?include_secrets=true")
        return document

    def variable(self, name: str) -> Any:
        """The value of a Prefect Variable, of any JSON type."""
        return self._request("GET", f"/variables/name/{quote(name)}")["value"]

    def set_state(
        self, flow_run_id: str, type_: str, *, name: str | None = None, message: str = "", force: bool = False
    ) -> Json:
        """Propose a state; every retry carries the same transition id, so the server makes the transition only once.

        Prefect 3.8.8, PreventDuplicateTransitions: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/server/orchestration/core_policy.py

        Returns:
            `{"status": "ACCEPT" | "REJECT" | "ABORT" | "WAIT", "state": …, "details": …}`.
        """
        details = {"transition_id": str(uuid4())}
        state = {"type": type_, "name": name, "message": message, "state_details": details}
        body = {"state": state, "force": force}
        result: Json = self._request("POST", f"/flow_runs/{flow_run_id}/set_state", body)
        return result

    def renew_lease(self, lease: str, seconds: float, policy: RetryPolicy) -> None:
        """Make a lease on concurrency slots expire this many seconds from now, a minute or more."""
        path = f"/v2/concurrency_limits/leases/{quote(lease)}/renew"
        self._request("POST", path, {"lease_duration": seconds}, policy)

    def send_logs(self, entries: list[Json]) -> None:
        """Add entries to a flow run's log, with a single retry."""
        self._request("POST", "/logs/", entries, RetryPolicy(1, self._settings.api_timeout))

    def _request(self, method: str, path: str, body: Any = None, policy: RetryPolicy | None = None) -> Any:
        response = self._send(method, path, body, policy)
        # Prefect 3.8.8: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/server/api/middleware.py
        if response.status in UNAUTHORIZED and self._csrf_token and b"CSRF" in response.data:
            self._csrf_token = None
            response = self._send(method, path, body, policy)
        if response.status == NOT_FOUND:
            raise NotFoundError
        if response.status in UNAUTHORIZED:
            raise ApiUnauthorizedError(
                f"The Prefect API at {self._settings.api_url} rejected the credentials ({response.status}).",
                self._describe(method, path, response),
                "Check PREFECT_API_KEY or PREFECT_API_AUTH_STRING in the job variables or in the work pool.",
            )
        if response.status >= 400:  # noqa: PLR2004 (in HTTP, errors begin here)
            raise ApiRefusedError(
                f"The Prefect API at {self._settings.api_url} answered {response.status}.",
                self._describe(method, path, response),
            )
        return self._decode(method, path, response) if response.data else None

    def _decode(self, method: str, path: str, response: HttpResponse) -> Any:
        try:
            return json.loads(response.data)
        except ValueError:
            raise ApiRefusedError(
                f"There is no Prefect API at {self._settings.api_url}.",
                self._describe(method, path, response),
                "Correct PREFECT_API_URL; the URL of a self-hosted server ends in /api.",
            ) from None

    def _send(self, method: str, path: str, body: Any, policy: RetryPolicy | None) -> HttpResponse:
        headers = dict(self._headers)
        if method != "GET":
            headers |= self._csrf_headers()
        return self._exchange(method, path, None if body is None else json.dumps(body).encode(), headers, policy)

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], policy: RetryPolicy | None
    ) -> HttpResponse:
        settings = self._settings
        policy = policy or RetryPolicy(settings.api_retries, settings.api_timeout)
        try:
            return call_in_thread(self._transport.send, HttpRequest(method, path, body, headers), policy)
        except UnansweredError as error:
            outcome = "rejected every attempt" if error.rejected else "did not answer"
            raise ApiUnreachableError(
                f"The Prefect API at {settings.api_url} {outcome}.",
                f"{method} {path} failed after {error.attempts} attempt(s): {error}",
                "Check that PREFECT_API_URL can be reached from this container's network.",
            ) from None

    def _describe(self, method: str, path: str, response: HttpResponse) -> str:
        """The request and at most 500 characters of the response, masked first: nobody knows half a secret."""
        mask = Mask()
        mask.add(*self._settings.secrets())
        return f"{method} {path} returned: {mask(response.data[:MASKED_BYTES].decode(errors='replace'))[:500]}"

    def _csrf_headers(self) -> dict[str, str]:
        """The CSRF headers; none if the server has no CSRF protection, which is found out only once."""
        with self._lock:
            if self._csrf and not self._csrf_token:
                path = f"/csrf-token?client={self._csrf_client}"
                response = self._exchange("GET", path, None, self._headers, None)
                self._csrf = response.status not in CSRF_OFF
                self._csrf_token = self._decode("GET", path, response)["token"] if response.status == OK else None
            if not self._csrf_token:
                return {}
            return {"Prefect-Csrf-Token": self._csrf_token, "Prefect-Csrf-Client": self._csrf_client}


def _base_headers(settings: Settings) -> dict[str, str]:
    """The headers of every request; custom headers may replace any but OWN_HEADERS."""
    headers = {
        "X-PREFECT-API-VERSION": API_VERSION,
        "User-Agent": f"prefect-uv/{__version__} (API {API_VERSION})",
        "Content-Type": "application/json",
    }
    if settings.api_auth_string:
        headers["Authorization"] = basic_authorization(settings.api_auth_string)
    elif settings.api_key:
        headers["Authorization"] = f"Bearer {settings.api_key}"
    custom = settings.api_headers or {}
    return headers | {name: value for name, value in custom.items() if name.lower() not in OWN_HEADERS}
