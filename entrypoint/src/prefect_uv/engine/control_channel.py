"""The loopback channel on which Prefect's engine learns why it is being stopped, and says how it ended.

The server's side of three variants: 3.6.27 to 3.8.0 (intent cancel), 3.8.1 to 3.8.3 (reschedule and relinquish too),
and from 3.8.4 on (a handshake and receipts); `prefect/_internal/control_listener.py` and `attempt_control.py` are the
other side. Engines before 3.6.27 never connect.
"""

from __future__ import annotations

import json
import secrets
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

INTENTS = {"cancel": b"c", "reschedule": b"r", "relinquish": b"q"}
ACKNOWLEDGED = b"a"
HELLO = b"\x00"
HELLO_REST = 4
RECEIPTS = b"\x00PF\x02\x01"
RECEIPT = b"\x01"
RECEIVED = b"\x02"
LARGEST_RECEIPT = 4096
TOKEN_SECONDS = 5.0
ACK_SECONDS = 1.0

IntentAnswer = Literal["acknowledged", "concluded", "unheard"]


class ControlChannel:
    """Listens for one engine; `environ` tells it where, once.

    Attributes:
        environ: what the engine needs in its environment; it removes it there before the flow's code can see it.
        receipt: what the engine reported of its end, from 3.8.4 on.
    """

    def __init__(self, on_receipt: Callable[[], None]) -> None:
        self.receipt: dict[str, Any] = {}
        self._on_receipt = on_receipt
        self._token = secrets.token_hex(16)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._engine: socket.socket | None = None
        self._answered = threading.Event()
        self._acknowledged = False
        port = self._listener.getsockname()[1]
        self.environ = {"PREFECT__CONTROL_PORT": str(port), "PREFECT__CONTROL_TOKEN": self._token}
        threading.Thread(target=self._serve, daemon=True, name="control").start()

    @property
    def connected(self) -> bool:
        """The engine has come as far as proposing Running, and listens."""
        return self._engine is not None

    @property
    def aborted(self) -> bool:
        """The engine has said that the server told it to do nothing."""
        return self.receipt.get("disposition") == "ORCHESTRATION_ABORTED"

    def send(self, intent: str) -> IntentAnswer:
        """Tell the engine why the next SIGTERM comes, and wait for its answer.

        Returns:
            `acknowledged`: it will act on the signal by this intent; `concluded`: it has reported its end already;
            `unheard`: it does not listen, or not any more.
        """
        if self.receipt:
            return "concluded"
        if not self._write(INTENTS[intent]):
            return "unheard"
        self._answered.wait(ACK_SECONDS)
        if self.receipt:
            return "concluded"
        return "acknowledged" if self._acknowledged else "unheard"

    def close(self) -> None:
        """Stop listening; to shut a socket down wakes the thread that waits on it, to close it would not."""
        for end in (self._listener, self._engine):
            if end is not None:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        """Accept until one connection knows the token, then read it to its end."""
        with self._listener, suppress(OSError):
            while self._engine is None:
                connection, _ = self._listener.accept()
                with connection:
                    if self._authenticated(connection):
                        self._listener.close()
                        self._engine = connection
                        self._converse(connection)
                        self._answered.set()

    def _authenticated(self, connection: socket.socket) -> bool:
        connection.settimeout(TOKEN_SECONDS)
        line = _read(connection, len(self._token) + 1)
        connection.settimeout(None)
        return secrets.compare_digest(line.strip(), self._token.encode())

    def _converse(self, connection: socket.socket) -> None:
        while kind := _read(connection, 1):
            if kind == ACKNOWLEDGED:
                self._acknowledged = True
                self._answered.set()
            elif kind == HELLO and len(_read(connection, HELLO_REST)) == HELLO_REST:
                self._write(RECEIPTS)
            elif kind == RECEIPT and (receipt := _receipt(connection)):
                self.receipt = receipt
                self._answered.set()
                self._write(RECEIVED)
                self._on_receipt()
            else:
                return

    def _write(self, data: bytes) -> bool:
        """Whether it could be sent; the engine may answer and be gone before this returns."""
        engine = self._engine
        try:
            if engine is not None:
                engine.sendall(data)
        except OSError:
            return False
        return engine is not None


def _receipt(connection: socket.socket) -> dict[str, Any]:
    """One receipt: its length in four bytes, then JSON; nothing when it is not one."""
    length = int.from_bytes(_read(connection, 4), "big")
    if not 0 < length <= LARGEST_RECEIPT:
        return {}
    try:
        receipt = json.loads(_read(connection, length))
    except ValueError:
        return {}
    return receipt if isinstance(receipt, dict) else {}


def _read(connection: socket.socket, length: int) -> bytes:
    """So many bytes, or fewer when the other side ends before."""
    data = b""
    while len(data) < length:
        try:
            part = connection.recv(length - len(data))
        except OSError:
            break
        if not part:
            break
        data += part
    return data
