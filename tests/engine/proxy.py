"""A TCP proxy before the server: it counts HTTP requests, and can be cut."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

from tests.stack.server import PrefectServer

REQUEST = re.compile(rb"(?:GET|POST|PATCH|DELETE) \S+ HTTP/1\.1\r\n")
PORT = re.compile(r"(?<=:)\d+(?=/)")


@dataclass
class Proxy:
    """A running proxy.

    Attributes:
        server: the server as it is seen through the proxy.
        requests: how many have passed.
    """

    server: PrefectServer
    requests: int = 0
    _cut: threading.Event = field(default_factory=threading.Event)
    _open: set[socket.socket] = field(default_factory=set)

    @classmethod
    @contextmanager
    def before(cls, server: PrefectServer) -> Iterator[Proxy]:
        """Stand before this server of the host."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            seen = replace(server, url=PORT.sub(str(listener.getsockname()[1]), server.url))
            proxy = cls(seen)
            port = int(PORT.findall(server.url)[0])
            threading.Thread(target=proxy._accept, args=(listener, port), daemon=True).start()
            yield proxy
            listener.shutdown(socket.SHUT_RDWR)
            proxy.cut()

    def cut(self) -> None:
        """Close what is open, and close at once whatever comes."""
        self._cut.set()
        for end in list(self._open):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Let everything pass again."""
        self._cut.clear()

    def _accept(self, listener: socket.socket, port: int) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                if self._cut.is_set():
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", port))
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
                self.requests += len(REQUEST.findall(data))
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
