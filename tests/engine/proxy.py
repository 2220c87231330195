"""A TCP proxy in front of the server that notes HTTP requests and can be cut off."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

from tests.stack.server import PrefectServer

REQUEST = re.compile(rb"((?:GET|POST|PATCH|DELETE) \S+) HTTP/1\.1\r\n")
ADDRESS = re.compile(r"(?<=//)(.+):(\d+)(?=/)")


@dataclass
class Proxy:
    """A running proxy.

    Attributes:
        server: the server with the proxy's address.
        requests: the HTTP requests that the proxy has forwarded, such as `GET /api/health`.
        refused: how many connections it has closed immediately.
    """

    server: PrefectServer
    requests: list[str] = field(default_factory=list)
    refused: int = 0
    _cut: threading.Event = field(default_factory=threading.Event)
    _open: set[socket.socket] = field(default_factory=set)

    @classmethod
    @contextmanager
    def before(cls, server: PrefectServer, address: str = "127.0.0.1") -> Iterator[Proxy]:
        """Start a proxy for this server at an address of the host."""
        with (
            socket.create_server((address, 0)) as listener,
            cls.behind(listener, server, f"{address}:{listener.getsockname()[1]}") as proxy,
        ):
            yield proxy

    @classmethod
    @contextmanager
    def behind(cls, listener: socket.socket, server: PrefectServer, public: str) -> Iterator[Proxy]:
        """Forward a listener's connections to the server; clients reach it at the `public` address."""
        proxy = cls(replace(server, url=ADDRESS.sub(public, server.url)))
        host, port = ADDRESS.findall(server.url)[0]
        threading.Thread(target=proxy._accept, args=(listener, (host, int(port))), daemon=True).start()
        try:
            yield proxy
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            proxy.cut()

    def cut(self) -> None:
        """Close all connections, and each new one immediately."""
        self._cut.set()
        for end in list(self._open):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def restore(self) -> None:
        """Forward new connections again."""
        self._cut.clear()

    def _accept(self, listener: socket.socket, address: tuple[str, int]) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                if self._cut.is_set():
                    self.refused += 1
                    client.close()
                    continue
                server = socket.create_connection(address)
                threading.Thread(target=self._join, args=(client, server), daemon=True).start()

    def _join(self, client: socket.socket, server: socket.socket) -> None:
        self._open |= {client, server}
        with client, server:
            back = threading.Thread(target=self._pass, args=(server, client), daemon=True)
            back.start()
            self._pass(client, server)
            back.join()
        self._open -= {client, server}

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self.requests += map(bytes.decode, REQUEST.findall(data))
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
