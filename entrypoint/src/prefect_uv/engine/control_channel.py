"""The loopback channel on which Prefect's engine learns why it is being stopped, and reports how it ended.

This is the server side of three variants: 3.6.27 to 3.8.0 (the intent to cancel), 3.8.1 to 3.8.3 (also to reschedule
and to relinquish), and from 3.8.4 on (also a handshake and receipts). Engines before 3.6.27 never connect.

The engine's side, and the frames from 3.8.4 on:
https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/_internal/control_listener.py
https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/_internal/attempt_control.py
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
    """Listens for one engine.

    Attributes:
        environ: port and token for the engine's environment; the engine removes them before the flow's code runs.
        receipt: how the engine ended, as it reported it (Prefect 3.8.4 and later); empty until then.
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
        """Whether the engine listens; it connects before it proposes Running."""
        return self._engine is not None

    @property
    def aborted(self) -> bool:
        """Whether the engine reported that the server told it not to run."""
        return self.receipt.get("disposition") == "ORCHESTRATION_ABORTED"

    @property
    def reported(self) -> str:
        """The type of the state that the engine reported it had set, such as `COMPLETED`; empty without a report."""
        return str(self.receipt.get("state_type") or "")

    def send(self, intent: str) -> IntentAnswer:
        """Tell the engine why it will get SIGTERM, and wait for its answer.

        Returns:
            `acknowledged`: it will act on the signal by this intent; `concluded`: it has already reported its end;
            `unheard`: it does not listen, or no longer.
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
        """Stop listening. Shutting a socket down wakes the thread that waits on it; closing it would not."""
        for end in (self._listener, self._engine):
            if end is not None:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        """Accept connections until one sends the token, then read it to its end."""
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
        """Send data if the engine is connected; False if it is not.

        The engine may answer and exit before this returns.
        """
        engine = self._engine
        try:
            if engine is not None:
                engine.sendall(data)
        except OSError:
            return False
        return engine is not None


def _receipt(connection: socket.socket) -> dict[str, Any]:
    """Read a receipt: its length in four bytes, then JSON; an empty one if it is malformed."""
    length = int.from_bytes(_read(connection, 4), "big")
    if not 0 < length <= LARGEST_RECEIPT:
        return {}
    try:
        receipt = json.loads(_read(connection, length))
    except ValueError:
        return {}
    return receipt if isinstance(receipt, dict) else {}


def _read(connection: socket.socket, length: int) -> bytes:
    """Read `length` bytes, or fewer if the other side closes the connection first."""
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
