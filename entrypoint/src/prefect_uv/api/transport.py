"""How requests reach the API: connections, redirects and retries.

On the standard library's http.client: every start imports this, and urllib3 costs it 50 ms more (ADR 0015).
"""

from __future__ import annotations

import random
import threading
import time
import weakref
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPSConnection
from typing import NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit

from prefect_uv.api.connection import api_proxy, proxy_headers, tls_context
from prefect_uv.settings import Settings

RETRIED_CODES = {408, 429, 502, 503}
LONGEST_BACKOFF_SECONDS = 10.0
JITTER_SECONDS = 0.2
REDIRECTS = {301, 302, 303, 307, 308}
MOST_REDIRECTS = 5


class RetryPolicy(NamedTuple):
    """How often a request is sent again, and how long each answer may take."""

    retries: int
    seconds: float


class HttpResponse(NamedTuple):
    """What a server said."""

    status: int
    headers: HTTPMessage
    data: bytes


class HttpRequest(NamedTuple):
    """What is sent; a path without a host goes to the API's own."""

    method: str
    url: str
    body: bytes | None
    headers: Mapping[str, str]


class UnansweredError(Exception):
    """All attempts are used up; `refused` when the last one was answered, by a code that is retried."""

    def __init__(self, reason: str, attempts: int, *, refused: bool) -> None:
        super().__init__(reason)
        self.attempts = attempts
        self.refused = refused


class Transport:
    """Connections to the API, through a proxy where the environment names one; safe to use from several threads.

    Raises:
        SettingsInvalidError: the CA bundle cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        self._url = settings.api_url
        self._context = tls_context(settings) if self._url.startswith("https://") else None
        self._proxy = api_proxy(settings)
        self._retried = RETRIED_CODES | set(settings.api_retry_codes)
        self._idle: list[HTTPConnection] = []
        self._lock = threading.Lock()
        weakref.finalize(self, _close, self._idle)

    def send(self, request: HttpRequest, policy: RetryPolicy) -> HttpResponse:
        """Send a request until there is an answer; one of a server under maintenance does not use up an attempt.

        Raises:
            UnansweredError: there is none, or only answers that ask for another attempt.
        """
        attempts = 0
        while True:
            try:
                answer = self._followed(request, policy.seconds)
                if answer.status not in self._retried:
                    return answer
                reason = f"too many {answer.status} error responses"
            except (OSError, HTTPException, UnicodeError) as error:
                answer, reason = None, str(error) or type(error).__name__
            if answer is None or answer.headers.get("Prefect-Maintenance") != "true":
                attempts += 1
            if attempts > policy.retries:
                raise UnansweredError(reason, attempts, refused=answer is not None)
            time.sleep(_pause(answer, attempts))

    def _followed(self, request: HttpRequest, seconds: float) -> HttpResponse:
        """The answer at the end of redirections; another host does not get our credentials."""
        url = self._url + request.url
        for _ in range(MOST_REDIRECTS):
            answer = self._exchanged(request, urlsplit(url), seconds)
            place = answer.headers.get("Location")
            if answer.status not in REDIRECTS or not place:
                return answer
            before, url = url, urljoin(url, place)
            if urlsplit(before).netloc != urlsplit(url).netloc:
                headers = {k: v for k, v in request.headers.items() if k.lower() != "authorization"}
                request = request._replace(headers=headers)
            if answer.status == 303:  # noqa: PLR2004 (See Other: fetch what is there)
                request = request._replace(method="GET", body=None)
        return answer

    def _exchanged(self, request: HttpRequest, url: SplitResult, seconds: float) -> HttpResponse:
        own = url.netloc == urlsplit(self._url).netloc
        with self._lock:
            idle = self._idle.pop() if own and self._idle else None
        if idle is not None:
            try:
                return self._exchanged_on(idle, request, url, seconds, keep=own)
            except (ConnectionError, HTTPException):
                idle.close()  # the server has closed it meanwhile
        return self._exchanged_on(self._connection(url, seconds), request, url, seconds, keep=own)

    def _exchanged_on(
        self, connection: HTTPConnection, request: HttpRequest, url: SplitResult, seconds: float, *, keep: bool
    ) -> HttpResponse:
        if connection.sock is not None:
            connection.sock.settimeout(seconds)
        path = url._replace(scheme="", netloc="", fragment="").geturl() or "/"
        absolute = self._proxy is not None and url.scheme == "http"
        extra = proxy_headers(self._proxy) if self._proxy and absolute else {}
        try:
            connection.request(
                request.method, url.geturl() if absolute else path, request.body, {**request.headers, **extra}
            )
            response = connection.getresponse()
            answer = HttpResponse(response.status, response.headers, response.read())
        except BaseException:
            connection.close()
            raise
        if keep and not response.will_close:
            with self._lock:
                self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _connection(self, url: SplitResult, seconds: float) -> HTTPConnection:
        secure, proxy = url.scheme == "https", self._proxy
        host, port = (proxy.hostname, proxy.port or 80) if proxy else (url.hostname, url.port)
        if not secure:
            return HTTPConnection(host or "", port, timeout=seconds)
        connection = HTTPSConnection(host or "", port, timeout=seconds, context=self._context)
        if proxy:
            connection.set_tunnel(url.hostname or "", url.port, proxy_headers(proxy))
        return connection


def _close(connections: Iterable[HTTPConnection]) -> None:
    for connection in connections:
        connection.close()


def _pause(answer: HttpResponse | None, attempts: int) -> float:
    """Seconds until the next attempt: what the server says, else nothing at first and then ever longer."""
    told = answer.headers.get("Retry-After") if answer else None
    if told and told.strip().isdecimal():
        return float(told)
    if told:
        try:
            return max(0.0, parsedate_to_datetime(told).timestamp() - time.time())
        except ValueError:
            pass
    longer = 2.0 ** (attempts - 1) + random.uniform(0, JITTER_SECONDS) if attempts > 1 else 0.0  # noqa: S311
    return min(LONGEST_BACKOFF_SECONDS, longer)
