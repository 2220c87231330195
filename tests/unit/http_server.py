"""A real HTTP server that gives scripted answers and records the requests."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

DRIP_SECONDS = 0.05
TLS_HANDSHAKE = b"\x16"


@dataclass(frozen=True)
class Request:
    """A request as it arrived; header names are in lower case, `peer` is the client's port, `secure` means by TLS."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    peer: int
    secure: bool = False

    @property
    def json(self) -> Any:
        """The decoded body."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """A response; a body of bytes is sent as it is, any other as JSON; `hangs_up` closes the connection unannounced.

    Instead of it, `trouble` sends bytes without an end (`drips`), nothing (`is silent`), or closes the connection
    (`drops`); `raw` is sent as it is, before the connection is closed.
    """

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    hangs_up: bool = False
    trouble: Literal["", "drips", "is silent", "drops"] = ""
    raw: bytes = b""

    @property
    def data(self) -> bytes:
        """The body as sent."""
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


TROUBLES = {
    "maintenance": Answer(503, headers={"Prefect-Maintenance": "true"}),
    "long maintenance": Answer(503, headers={"Prefect-Maintenance": "true", "Retry-After": "60"}),
    "rate limit": Answer(429, headers={"Retry-After": "60"}),
    "server error": Answer(500),
    "drips": Answer(trouble="drips"),
    "is silent": Answer(trouble="is silent"),
    "drops": Answer(trouble="drops"),
}
"""What an API in trouble does instead of answering."""
SHORT_TROUBLES = ["long maintenance", "drips", "drops"]
"""The three that differ most, for tests in which each takes a second."""

Route = Callable[[Request], Answer]


class Server:
    """Answers by method and path (without the query); the last answer of a route is repeated."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.url = ""
        self._routes: dict[str, list[Answer | Route]] = {}

    def on(self, route: str, *answers: Answer | Route) -> None:
        """Set the answers for `METHOD /path`, in order."""
        self._routes[route] = list(answers)

    def to(self, method: str, path: str) -> list[Request]:
        """The requests for this method and path so far."""
        return [
            request for request in self.requests if request.method == method and request.path.partition("?")[0] == path
        ]

    def answer(self, request: Request) -> Answer:
        """Answer a request; with 404 if it has no route."""
        self.requests.append(request)
        answers = self._routes.get(f"{request.method} {request.path.partition('?')[0]}")
        if not answers:
            return Answer(404, {"detail": "Not Found"})
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return answer if isinstance(answer, Answer) else answer(request)


class Handler(BaseHTTPRequestHandler):
    """The HTTP handler of a Server."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server_object: Server

    def log_message(self, *_: object) -> None:
        """Log nothing, to keep the test output readable."""

    def _do(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        method = "GET" if self.command == "HEAD" else self.command
        secure = isinstance(self.connection, ssl.SSLSocket)
        request = Request(method, self.path, headers, self.rfile.read(length), self.client_address[1], secure)
        answer = self.server_object.answer(request)
        if answer.trouble:
            self._make_trouble(answer.trouble)
            return
        if answer.raw:
            self.close_connection = True
            with suppress(OSError):
                self.wfile.write(answer.raw)
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.data)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else answer.data)
        self.close_connection = self.close_connection or answer.hangs_up

    def handle(self) -> None:
        """Handle a connection; a client that gives up says nothing."""
        with suppress(ConnectionError):
            super().handle()

    def _make_trouble(self, trouble: str) -> None:
        """Keep the client waiting until it leaves, or do not even that."""
        self.close_connection = True
        self.connection.settimeout(DRIP_SECONDS)
        with suppress(OSError):
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Drip: " if trouble == "drips" else b"")
            while trouble != "drops":
                with suppress(TimeoutError):
                    if not self.connection.recv(1):
                        return
                self.wfile.write(b"." if trouble == "drips" else b"")

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = _do


class TlsServer(ThreadingHTTPServer):
    """Speaks TLS, and plain HTTP on the same port with clients that do not begin with a TLS handshake."""

    context: ssl.SSLContext

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Handle a connection, in a thread of its own."""
        if request.recv(1, socket.MSG_PEEK) != TLS_HANDSHAKE:
            super().finish_request(request, client_address)
            return
        with suppress(OSError), self.context.wrap_socket(request, server_side=True) as secure:
            super().finish_request(secure, client_address)


@contextmanager
def serve(
    handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None = None, address: str = "127.0.0.1"
) -> Iterator[int]:
    """Serve with a handler, in a thread; the value is the port, a free one of the address."""
    httpd = (TlsServer if tls else ThreadingHTTPServer)((address, 0), handler)
    if isinstance(httpd, TlsServer) and tls:
        httpd.context = tls
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield httpd.server_address[1]
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join(5)


@contextmanager
def running_server(tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Run a Server; its `url` ends in /api."""
    server = Server()
    handler = type("ServerHandler", (Handler,), {"server_object": server})
    with serve(handler, tls) as port:
        server.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/api"
        yield server
