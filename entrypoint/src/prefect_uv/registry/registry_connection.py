"""Requests to a registry: with its login, through a proxy, along redirects, and again if the network fails.

Uses http.client as for the API (ADR 19): an import of urllib3 would be one more dependency of the image.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

from prefect_uv import __version__
from prefect_uv.api.connections.connection import api_proxy, proxy_headers
from prefect_uv.api.connections.redirection import RedirectError, redirected
from prefect_uv.api.transport import MOST_REDIRECTS, REDIRECTS, RETRIED_CODES
from prefect_uv.errors import RegistryRefusedError, RegistryUnauthorizedError, RegistryUnreachableError
from prefect_uv.log.mask import Mask
from prefect_uv.processes.signals import call_in_thread, pause, raise_noted_signal
from prefect_uv.registry.image_reference import ImageReference, is_loopback
from prefect_uv.registry.registry_login import find_login
from prefect_uv.registry.registry_token import LOGIN_HINT, TokenRequest, authorize
from prefect_uv.settings import Settings
from prefect_uv.urls import Origin

TIMEOUT_SECONDS = 60.0
PAUSES = (0.0, 1.0, 3.0, 10.0)
"""The seconds before each further attempt."""
TRANSFER_BYTES = 1 << 18
LARGEST_ANSWER = 4 << 20
"""Registries accept no larger manifest: https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pushing-manifests"""
UNAUTHORIZED, FORBIDDEN = 401, 403
SHOWN_BYTES = 1000

Done = TypeVar("Done")


class RegistryRequest(NamedTuple):
    """A request to a registry; a body that is a path is sent from the file."""

    method: str
    url: str
    headers: Mapping[str, str] = {}
    body: bytes | Path | None = None


class TroubleError(Exception):
    """The registry is in trouble, or its answer ended too early: the request is sent again."""


class RegistryConnection:
    """Requests about one image; the login is read when the registry asks for it."""

    def __init__(self, reference: ImageReference, settings: Settings, mask: Mask, actions: str) -> None:
        """`actions` is what is to be done with the image: `pull` or `pull,push`."""
        self.reference = reference
        self._settings, self._mask, self._actions = settings, mask, actions
        self._origin = Origin.of(reference.url)
        self._authorization = ""
        self._context: ssl.SSLContext | None = None

    def patiently(self, function: Callable[[], Done]) -> Done:
        """Call a function that sends requests, again and again if the network or the registry fails.

        Raises:
            RegistryUnreachableError: it fails every time.
        """
        for attempt, seconds in enumerate((*PAUSES, None)):
            try:
                return function()
            except ssl.SSLCertVerificationError as error:
                raise self._unreachable(error, "Mount the CA's certificate, and name it in SSL_CERT_FILE.") from None
            except (OSError, HTTPException, TroubleError) as error:
                if getattr(error, "filename", None) is not None:
                    raise
                if seconds is None:
                    hint = "Check the name of the registry, and that this container's network reaches it."
                    raise self._unreachable(error, hint, attempt + 1) from None
                pause(seconds)
        raise AssertionError

    @contextmanager
    def open(self, request: RegistryRequest) -> Iterator[HTTPResponse]:
        """Send a request, log in if that is asked for, follow redirects, and yield the answer, whatever its status.

        Raises:
            OSError, HTTPException, TroubleError: there is no answer.
            RegistryUnauthorizedError, RegistryRefusedError: we cannot log in, or are sent to where we do not follow.
        """
        for _ in range(MOST_REDIRECTS + 1):
            with self._answer(request) as answer:
                location = answer.headers.get("Location")
                if answer.status not in REDIRECTS or not location or request.method not in {"GET", "HEAD"}:
                    yield answer
                    return
                request = request._replace(url=self.followed(request.url, location))
        raise RegistryRefusedError(f"The registry {self.reference.registry} redirects too often.")

    def followed(self, url: str, location: str) -> str:
        """The address to which an answer refers.

        Raises:
            RegistryRefusedError: it leads from https to http, or is no address.
        """
        try:
            return redirected(url, location)
        except RedirectError as error:
            raise RegistryRefusedError(f"The registry {self.reference.registry} redirects {error}.") from None

    def check(self, answer: HTTPResponse, doing: str, expected: int) -> None:
        """Check an answer's status.

        Args:
            answer: the answer, whose body is not read yet.
            doing: what was asked for, in words that follow `could not`.
            expected: the status that says that it was done.

        Raises:
            RegistryUnauthorizedError, RegistryRefusedError: it is another one.
        """
        if answer.status == expected:
            return
        self._raise_trouble(answer)
        found = answer.read(SHOWN_BYTES).decode(errors="replace")
        headline = f"The registry {self.reference.registry} answered {answer.status}: could not {doing}."
        if answer.status in {UNAUTHORIZED, FORBIDDEN}:
            raise RegistryUnauthorizedError(headline, found, LOGIN_HINT)
        raise RegistryRefusedError(headline, found)

    @contextmanager
    def _answer(self, request: RegistryRequest) -> Iterator[HTTPResponse]:
        """The answer to a request, with a login if the first one is a 401."""
        with self._exchange(request, self._authorization) as answer:
            if answer.status != UNAUTHORIZED or Origin.of(request.url) != self._origin:
                yield answer
                return
            challenges = answer.headers.get_all("WWW-Authenticate") or []
        login = find_login(self.reference.registry, self._settings.flow_environ, self._mask)
        self._authorization, secret = authorize(challenges, self.reference, self._actions, login, self._ask_for_token)
        self._mask.add(secret)
        with self._exchange(request, self._authorization) as answer:
            yield answer

    def _ask_for_token(self, asked: TokenRequest) -> bytes:
        headers = {"Authorization": asked.authorization} if asked.authorization else {}
        if asked.form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        request = RegistryRequest("POST" if asked.form is not None else "GET", asked.url, headers, asked.form)
        with self._exchange(request, "") as answer:
            self.check(answer, f"log in at {urlsplit(asked.url).netloc}", 200)
            return answer.read(LARGEST_ANSWER)

    @contextmanager
    def _exchange(self, request: RegistryRequest, authorization: str) -> Iterator[HTTPResponse]:
        """Send a request on a connection of its own; only the registry itself gets the authorization."""
        raise_noted_signal()
        origin, url = Origin.of(request.url), urlsplit(request.url)._replace(fragment="")
        proxy = None if is_loopback(url.netloc) else api_proxy(self._settings, origin, "a registry")
        host, port = (proxy.hostname or "", proxy.port or 80) if proxy else (origin.host, origin.port)
        headers = {"User-Agent": f"prefect-uv/{__version__}", **_length(request), **request.headers}
        if authorization and origin == self._origin:
            headers["Authorization"] = authorization
        target = url._replace(scheme="", netloc="").geturl()
        connection: HTTPConnection
        if origin.scheme == "http":
            connection = HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
            if proxy:
                target, headers = url.geturl(), {**headers, **proxy_headers(proxy)}
        else:
            self._context = self._context or ssl.create_default_context()
            connection = HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=self._context)
            if proxy:
                connection.set_tunnel(origin.host, origin.port, proxy_headers(proxy))
        try:
            body = _chunks(request.body) if isinstance(request.body, Path) else request.body
            call_in_thread(connection.request, request.method, target, body, headers)
            yield call_in_thread(connection.getresponse)
        finally:
            connection.close()

    def _raise_trouble(self, answer: HTTPResponse) -> None:
        if answer.status in RETRIED_CODES:
            message = f"it answered {answer.status}"
            raise TroubleError(message)

    def _unreachable(self, error: Exception, hint: str, attempts: int = 1) -> RegistryUnreachableError:
        found = f"{attempts} attempt(s) failed: {str(error) or type(error).__name__}"
        return RegistryUnreachableError(f"The registry {self.reference.registry} cannot be reached.", found, hint)


def _length(request: RegistryRequest) -> dict[str, str]:
    """The header that says how long the body is."""
    if request.method in {"GET", "HEAD"}:
        return {}
    body = request.body
    return {"Content-Length": str(body.stat().st_size if isinstance(body, Path) else len(body or b""))}


def _chunks(path: Path) -> Iterator[bytes]:
    """The content of a file."""
    with path.open("rb") as file:
        while chunk := file.read(TRANSFER_BYTES):
            yield chunk
