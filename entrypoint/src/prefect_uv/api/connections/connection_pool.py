"""One exchange with one server, on a connection that is kept for the next one, and through a proxy if there is one.

Uses http.client of the standard library, because every start imports it, and urllib3 would take 50 ms more (ADR 15).
"""

from __future__ import annotations

import socket
import threading
import weakref
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPSConnection, IncompleteRead
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from prefect_uv.api.connections.connection import api_proxy, proxy_headers, tls_context
from prefect_uv.settings import Settings
from prefect_uv.urls import Origin

LARGEST_BODY = 32 * 1024 * 1024


class BodyTooLargeError(Exception):
    """A response is larger than any that the API can mean to send."""


class HttpRequest(NamedTuple):
    """A request for an absolute URL."""

    method: str
    url: str
    body: bytes | None
    headers: Mapping[str, str]


class HttpResponse(NamedTuple):
    """A server's response, and the URL that it came from."""

    status: int
    headers: HTTPMessage
    data: bytes
    url: str


class Link(NamedTuple):
    """A connection, and the proxy that it goes through."""

    connection: HTTPConnection
    proxy: SplitResult | None


class ConnectionHolder:
    """Holds the socket that a thread waits on, so that another thread can end the wait."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._released = False

    @contextmanager
    def holding(self, connected: socket.socket) -> Iterator[None]:
        """Hold a socket.

        Raises:
            ConnectionAbortedError: nobody waits for the response any more.
        """
        self._socket = connected
        if self._released:
            raise ConnectionAbortedError
        yield
        self._socket = None

    def release(self) -> None:
        """End the wait: shutting a socket down wakes the thread that reads from it, closing it would not."""
        self._released, held = True, self._socket
        if held is not None:
            with suppress(OSError):
                held.shutdown(socket.SHUT_RDWR)


class ConnectionPool:
    """Idle connections by origin; safe to use from several threads.

    Raises:
        SettingsInvalidError: the CA bundle cannot be read, or the proxy's URL is invalid.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        own = Origin.of(settings.api_url)
        api_proxy(settings, own)
        self._context = tls_context(settings) if own.scheme == "https" else None
        self._idle: defaultdict[Origin, list[Link]] = defaultdict(list)
        self._lock = threading.Lock()
        weakref.finalize(self, _close_all, self._idle)

    def exchange(self, request: HttpRequest, timeout: float, holder: ConnectionHolder) -> HttpResponse:
        """Send on an idle connection if there is one; if the server has closed it meanwhile, on a new one.

        Args:
            request: the request.
            timeout: the seconds after which each wait for the server ends; `holder` can end them earlier.
            holder: holds the connection.

        Raises:
            OSError, HTTPException: the server cannot be reached, or does not speak HTTP.
            BodyTooLargeError: the response is too large.
        """
        origin = Origin.of(request.url)
        with self._lock:
            idle = self._idle[origin].pop() if self._idle[origin] else None
        if idle is not None:
            with suppress(ConnectionError, HTTPException):
                return self._exchange_on(idle, request, timeout, holder)
        return self._exchange_on(self._link(origin, timeout), request, timeout, holder)

    def _exchange_on(self, link: Link, request: HttpRequest, timeout: float, holder: ConnectionHolder) -> HttpResponse:
        connection = link.connection
        try:
            if connection.sock is None:
                connection.connect()
            connection.sock.settimeout(timeout)
            with holder.holding(connection.sock):
                connection.request(request.method, *_request_parts(link, request))
                received = connection.getresponse()
                data = received.read(LARGEST_BODY + 1)
        except BaseException:
            connection.close()
            raise
        if received.isclosed() and not received.will_close:
            with self._lock:
                self._idle[Origin.of(request.url)].append(link)
        else:
            connection.close()
        if len(data) > LARGEST_BODY:
            raise BodyTooLargeError
        if received.length:
            raise IncompleteRead(data, received.length)
        return HttpResponse(received.status, received.headers, data, request.url)

    def _link(self, origin: Origin, timeout: float) -> Link:
        proxy = api_proxy(self._settings, origin)
        host, port = (proxy.hostname or "", proxy.port or 80) if proxy else (origin.host, origin.port)
        if origin.scheme == "http":
            return Link(HTTPConnection(host, port, timeout=timeout), proxy)
        self._context = self._context or tls_context(self._settings)
        connection = HTTPSConnection(host, port, timeout=timeout, context=self._context)
        if proxy:
            connection.set_tunnel(origin.host, origin.port, proxy_headers(proxy))
        return Link(connection, proxy)


def _request_parts(link: Link, request: HttpRequest) -> tuple[str, bytes | None, dict[str, str]]:
    """What the request line names, the body and the headers: a proxy for http is given the whole URL."""
    url = urlsplit(request.url)._replace(fragment="")
    if link.proxy and url.scheme == "http":
        return url.geturl(), request.body, {**request.headers, **proxy_headers(link.proxy)}
    return url._replace(scheme="", netloc="").geturl() or "/", request.body, dict(request.headers)


def _close_all(idle: Mapping[Origin, list[Link]]) -> None:
    for links in idle.values():
        for link in links:
            link.connection.close()
