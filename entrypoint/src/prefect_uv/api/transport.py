"""Sending requests to the API: connections, redirects and retries.

Uses http.client of the standard library, because every start imports it, and urllib3 would take 50 ms more (ADR 15).
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

# Prefect 3.8.8: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/client/base.py
RETRIED_CODES = {408, 429, 502, 503}
LONGEST_BACKOFF_SECONDS = 10.0
JITTER_SECONDS = 0.2
REDIRECTS = {301, 302, 303, 307, 308}
MOST_REDIRECTS = 5


class RetryPolicy(NamedTuple):
    """How many times a request is retried, and how many seconds each attempt may take."""

    retries: int
    timeout: float


class HttpResponse(NamedTuple):
    """A server's response."""

    status: int
    headers: HTTPMessage
    data: bytes


class HttpRequest(NamedTuple):
    """A request to the API; `path` is relative to the API's URL."""

    method: str
    path: str
    body: bytes | None
    headers: Mapping[str, str]


class UnansweredError(Exception):
    """All attempts are used up; `rejected` if the last one got a response, with a status code that is retried."""

    def __init__(self, reason: str, attempts: int, *, rejected: bool) -> None:
        super().__init__(reason)
        self.attempts = attempts
        self.rejected = rejected


class Transport:
    """Connections to the API, through a proxy if the environment names one; safe to use from several threads.

    Raises:
        SettingsInvalidError: the CA bundle cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        self._url = settings.api_url
        self._context = tls_context(settings) if self._url.startswith("https://") else None
        self._proxy = api_proxy(settings)
        self._retried_codes = RETRIED_CODES | set(settings.api_retry_codes)
        self._idle: list[HTTPConnection] = []
        self._lock = threading.Lock()
        weakref.finalize(self, _close_all, self._idle)

    def send(self, request: HttpRequest, policy: RetryPolicy) -> HttpResponse:
        """Send a request, and retry as the policy allows; a server under maintenance does not use up an attempt.

        Raises:
            UnansweredError: every attempt failed, or got a status code that is retried.
        """
        attempts = 0
        while True:
            try:
                response = self._send_and_follow(request, policy.timeout)
                if response.status not in self._retried_codes:
                    return response
                reason = f"the server answered {response.status}"
            except (OSError, HTTPException, UnicodeError) as error:
                response, reason = None, str(error) or type(error).__name__
            if response is None or response.headers.get("Prefect-Maintenance") != "true":
                attempts += 1
            if attempts > policy.retries:
                raise UnansweredError(reason, attempts, rejected=response is not None)
            time.sleep(_seconds_until_retry(response, attempts))

    def _send_and_follow(self, request: HttpRequest, timeout: float) -> HttpResponse:
        """The response after following redirects; another host does not get our credentials."""
        url = self._url + request.path
        for _ in range(MOST_REDIRECTS):
            response = self._send_once(request, urlsplit(url), timeout)
            location = response.headers.get("Location")
            if response.status not in REDIRECTS or not location:
                return response
            previous, url = url, urljoin(url, location)
            if urlsplit(previous).netloc != urlsplit(url).netloc:
                headers = {name: value for name, value in request.headers.items() if name.lower() != "authorization"}
                request = request._replace(headers=headers)
            if response.status == 303:  # noqa: PLR2004 (See Other: the result is fetched with GET)
                request = request._replace(method="GET", body=None)
        return response

    def _send_once(self, request: HttpRequest, url: SplitResult, timeout: float) -> HttpResponse:
        """Send on an idle connection if there is one; if the server has closed it meanwhile, on a new one."""
        own = url.netloc == urlsplit(self._url).netloc
        with self._lock:
            idle = self._idle.pop() if own and self._idle else None
        if idle is not None:
            try:
                return self._send_on(idle, request, url, timeout, keep=own)
            except (ConnectionError, HTTPException):
                idle.close()
        return self._send_on(self._connection(url, timeout), request, url, timeout, keep=own)

    def _send_on(
        self, connection: HTTPConnection, request: HttpRequest, url: SplitResult, timeout: float, *, keep: bool
    ) -> HttpResponse:
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        path = url._replace(scheme="", netloc="", fragment="").geturl() or "/"
        absolute = self._proxy is not None and url.scheme == "http"
        for_proxy = proxy_headers(self._proxy) if self._proxy and absolute else {}
        try:
            connection.request(
                request.method, url.geturl() if absolute else path, request.body, {**request.headers, **for_proxy}
            )
            received = connection.getresponse()
            response = HttpResponse(received.status, received.headers, received.read())
        except BaseException:
            connection.close()
            raise
        if keep and not received.will_close:
            with self._lock:
                self._idle.append(connection)
        else:
            connection.close()
        return response

    def _connection(self, url: SplitResult, timeout: float) -> HTTPConnection:
        secure, proxy = url.scheme == "https", self._proxy
        host, port = (proxy.hostname, proxy.port or 80) if proxy else (url.hostname, url.port)
        if not secure:
            return HTTPConnection(host or "", port, timeout=timeout)
        connection = HTTPSConnection(host or "", port, timeout=timeout, context=self._context)
        if proxy:
            connection.set_tunnel(url.hostname or "", url.port, proxy_headers(proxy))
        return connection


def _close_all(connections: Iterable[HTTPConnection]) -> None:
    for connection in connections:
        connection.close()


def _seconds_until_retry(response: HttpResponse | None, attempts: int) -> float:
    """The server's Retry-After; without one, no pause before the first retry, then pauses that double."""
    retry_after = response.headers.get("Retry-After") if response else None
    if retry_after and retry_after.strip().isdecimal():
        return float(retry_after)
    if retry_after:
        try:
            return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
        except ValueError:
            pass
    backoff = 2.0 ** (attempts - 1) + random.uniform(0, JITTER_SECONDS) if attempts > 1 else 0.0  # noqa: S311
    return min(LONGEST_BACKOFF_SECONDS, backoff)
