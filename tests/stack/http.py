"""A threaded HTTP server with optional basic authentication, for the git server and the package index."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """A request handler that logs nothing, sleeps for `delay` seconds, and requires a password if one is set."""

    password: str | None = None
    delay = 0.0

    def log_message(self, *_: object) -> None:
        """Keep the test output readable."""

    def is_authorized(self) -> bool:
        """Whether the request has the password; if not, respond with 401."""
        time.sleep(self.delay)
        if self.password is None:
            return True
        scheme, _, value = self.headers.get("Authorization", "").partition(" ")
        if scheme == "Basic" and base64.b64decode(value).decode().partition(":")[2] == self.password:
            return True
        self.send_response(HTTPStatus.UNAUTHORIZED)
        self.send_header("WWW-Authenticate", 'Basic realm="tests"')
        self.send_header("Content-Length", "0")
        self.end_headers()
        return False

    def answer(self, body: bytes, content_type: str, status: int = HTTPStatus.OK) -> None:
        """Send a complete response."""
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def serve(host: str, handler: type[Handler]) -> Iterator[str]:
    """Serve on a free port of this address, and yield `host:port`."""
    with ThreadingHTTPServer((host, 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, name=handler.__name__, daemon=True)
        thread.start()
        try:
            yield f"{host}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
