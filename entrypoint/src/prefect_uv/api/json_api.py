"""JSON requests to the API with our credentials, and answers of a known shape, or an error that says what came instead.

Headers, CSRF tokens and Retry-After are those of Prefect 3.8.8; the back-off is our own.

Prefect 3.8.8: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/client/base.py
"""

from __future__ import annotations

import json
import threading
from typing import Any
from uuid import uuid4

from prefect_uv import __version__
from prefect_uv.api.connections.connection import basic_authorization
from prefect_uv.api.connections.connection_pool import LARGEST_BODY, BodyTooLargeError, HttpResponse
from prefect_uv.api.connections.redirection import RedirectError
from prefect_uv.api.documents import CSRF_ANSWER
from prefect_uv.api.patience import RetryPolicy
from prefect_uv.api.transport import ApiRequest, Transport, UnansweredError
from prefect_uv.errors import ApiRefusedError, ApiUnauthorizedError, ApiUnreachableError
from prefect_uv.log.mask import Mask
from prefect_uv.settings import Settings
from prefect_uv.shapes import mismatch
from prefect_uv.urls import Origin

# Prefect 3.8.8: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/client/constants.py (SERVER_API_VERSION)
API_VERSION = "0.8.4"
PUBLIC_HEADERS = {
    "X-PREFECT-API-VERSION": API_VERSION,
    "User-Agent": f"prefect-uv/{__version__} (API {API_VERSION})",
    "Content-Type": "application/json",
}
OWN_HEADERS = {"user-agent", "prefect-csrf-token", "prefect-csrf-client"}
UNAUTHORIZED = {401, 403}
OK = 200
REDIRECTION = 300
NOT_FOUND = 404
CSRF_OFF = {404, 422}
MASKED_BYTES = 10_000


class NotFoundError(Exception):
    """The API answered 404; the caller knows what was not found, and says so."""


class JsonApi:
    """The API at `PREFECT_API_URL`; safe to use from several threads.

    Raises:
        SettingsInvalidError: the CA bundle cannot be read, or the proxy's URL is invalid.
    """

    def __init__(self, settings: Settings) -> None:
        self._url = settings.api_url
        self._secrets = settings.secrets()
        self._transport = Transport(settings)
        self._policy = RetryPolicy(settings.api_retries, settings.api_timeout)
        self._credentials = _credentials(settings)
        self._csrf_client = str(uuid4())
        self._csrf_token: str | None = None
        self._csrf = settings.api_csrf
        self._lock = threading.Lock()

    def hurry(self) -> None:
        """Let every request, present or future, take a few seconds at most; a signal handler may call this."""
        self._transport.hurry()

    def request(self, method: str, path: str, shape: Any, body: Any = None, policy: RetryPolicy | None = None) -> Any:
        """Send a request, and return the document that answers it.

        Args:
            method: GET or POST.
            path: the path below the API's URL, and the query.
            shape: the shape of the document (`documents`).
            body: what to send, of any JSON type; None for nothing.
            policy: how patient to be; None for PREFECT_CLIENT_MAX_RETRIES and PREFECT_API_REQUEST_TIMEOUT.

        Raises:
            ApiUnreachableError: the API does not answer, or is in trouble.
            ApiUnauthorizedError: it rejects the credentials.
            ApiRefusedError: it rejects the request, or sent something that no Prefect API sends.
            NotFoundError: it answered 404.
        """
        response = self._send(method, path, body, policy)
        # Prefect 3.8.8: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/server/api/middleware.py
        if response.status in UNAUTHORIZED and self._csrf_token and b"CSRF" in response.data:
            self._csrf_token = None
            response = self._send(method, path, body, policy)
        if response.status == NOT_FOUND:
            raise NotFoundError
        if response.status in UNAUTHORIZED:
            raise ApiUnauthorizedError(
                f"The Prefect API at {self._url} rejected the credentials ({response.status}).",
                self._describe_response(method, path, response),
                "Check PREFECT_API_KEY or PREFECT_API_AUTH_STRING in the job variables or in the work pool.",
            )
        if response.status >= REDIRECTION:
            raise ApiRefusedError(
                f"The Prefect API at {self._url} answered {response.status}.",
                self._describe_response(method, path, response),
            )
        return self._decode(method, path, response, shape)

    def _decode(self, method: str, path: str, response: HttpResponse, shape: Any) -> Any:
        try:
            document = json.loads(response.data) if response.data else None
            wrong = mismatch(document, shape)
        except (ValueError, RecursionError):
            wrong = "the answer is not JSON"
        if not wrong:
            return document
        raise ApiRefusedError(
            f"What answers at {self._url} is not a Prefect API: {wrong}.",
            self._describe_response(method, path, response),
            "Correct PREFECT_API_URL; the URL of a self-hosted server ends in /api.",
        )

    def _send(self, method: str, path: str, body: Any, policy: RetryPolicy | None) -> HttpResponse:
        csrf = {} if method == "GET" else self._csrf_headers(policy)
        return self._exchange(method, path, None if body is None else json.dumps(body).encode(), csrf, policy)

    def _exchange(
        self, method: str, path: str, body: bytes | None, csrf: dict[str, str], policy: RetryPolicy | None
    ) -> HttpResponse:
        request = ApiRequest(method, path, body, PUBLIC_HEADERS, {**self._credentials, **csrf})
        try:
            return self._transport.send(request, policy or self._policy)
        except UnansweredError as error:
            answer = f"\n\n{self._describe_response(method, path, error.response)}" if error.response else ""
            raise ApiUnreachableError(
                f"The Prefect API at {self._url} {'rejected every attempt' if error.response else 'did not answer'}.",
                f"{method} {path} failed after {error.attempts} attempt(s): {error}{answer}",
                "The API, or a gateway in front of it, is in trouble: look at its own log."
                if error.response
                else "Check that PREFECT_API_URL can be reached from this container's network.",
            ) from None
        except RedirectError as error:
            raise ApiRefusedError(
                f"The Prefect API at {self._url} redirects to where prefect-uv does not follow.",
                f"{method} {path} redirects {error}",
                "Set PREFECT_API_URL to the address at which the API itself answers.",
            ) from None
        except BodyTooLargeError:
            raise ApiRefusedError(
                f"The Prefect API at {self._url} sent more than {LARGEST_BODY // 1024 // 1024} MB.",
                f"{method} {path} was not read any further.",
            ) from None

    def _csrf_headers(self, policy: RetryPolicy | None) -> dict[str, str]:
        """The CSRF headers; none if the server has no CSRF protection, which is found out only once."""
        with self._lock:
            if self._csrf and not self._csrf_token:
                path = f"/csrf-token?client={self._csrf_client}"
                response = self._exchange("GET", path, None, {}, policy)
                self._csrf = response.status not in CSRF_OFF
                if response.status == OK:
                    self._csrf_token = self._decode("GET", path, response, CSRF_ANSWER)["token"]
            if not self._csrf_token:
                return {}
            return {"Prefect-Csrf-Token": self._csrf_token, "Prefect-Csrf-Client": self._csrf_client}

    def _describe_response(self, method: str, path: str, response: HttpResponse) -> str:
        """The request, another origin that it was redirected to, and at most 500 characters of the response.

        The response is masked first: nobody knows half a secret.
        """
        mask = Mask()
        mask.add(*self._secrets)
        elsewhere = not Origin.of(self._url).trusts(Origin.of(response.url))
        redirected = f", redirected to {response.url} without credentials," if elsewhere else ""
        return (
            f"{method} {path}{redirected} returned: {mask(response.data[:MASKED_BYTES].decode(errors='replace'))[:500]}"
        )


def _credentials(settings: Settings) -> dict[str, str]:
    """The headers that only the API may get: all custom headers, which replace any but OWN_HEADERS, among them."""
    custom = {name: value for name, value in (settings.api_headers or {}).items() if name.lower() not in OWN_HEADERS}
    if "authorization" in map(str.lower, custom):
        return custom
    if settings.api_auth_string:
        return {"Authorization": basic_authorization(settings.api_auth_string), **custom}
    return {"Authorization": f"Bearer {settings.api_key}", **custom} if settings.api_key else custom
