"""A git server over HTTP with Basic authentication.

git 2.39: it runs `git http-backend` as a CGI program. https://git-scm.com/docs/git-http-backend
"""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from tests.unit.http_server import serve


class GitHandler(BaseHTTPRequestHandler):
    """Answers each request that has the right credentials with the output of `git http-backend`."""

    root: Path
    credentials: str

    def log_message(self, *_: object) -> None:
        """Keep the test output readable."""

    def do_GET(self) -> None:
        """Answer 401, or what git answers."""
        expected = f"Basic {base64.b64encode(self.credentials.encode()).decode()}"
        if self.headers.get("Authorization") != expected:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="tests"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        header, _, body = self._backend().partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in header.decode().splitlines())
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def _backend(self) -> bytes:
        path, _, query = self.path.partition("?")
        environ = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        return subprocess.run(
            ["git", "http-backend"], input=body, env=environ, check=False, capture_output=True, timeout=20
        ).stdout


@contextmanager
def git_server(root: Path, credentials: str) -> Iterator[str]:
    """Serve the repositories below `root` for `user:password`; yields `127.0.0.1:port`."""
    handler = type("RepositoryHandler", (GitHandler,), {"root": root, "credentials": credentials})
    with serve(handler) as port:
        yield f"127.0.0.1:{port}"
