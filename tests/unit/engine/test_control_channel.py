"""The control channel follows the wire protocol of all three variants of engines."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from prefect_uv.engine.control_channel import ControlChannel, IntentAnswer
from tests.unit.program.test_processes import wait_until

REPORTED = {"disposition": "STATE_REPORTED", "state_name": "Completed", "state_type": "COMPLETED"}
HELLO = b"\x00PF\x02\x01"


@pytest.fixture
def receipts() -> list[str]:
    """One entry for each receipt that the channel announced."""
    return []


@pytest.fixture
def control(receipts: list[str]) -> Iterator[ControlChannel]:
    """A listening channel."""
    channel = ControlChannel(lambda: receipts.append("receipt"))
    yield channel
    channel.close()


@dataclass
class Engine:
    """The engine's end of the connection."""

    connection: socket.socket
    intent: bytes = b""

    def answer_intent(self, answer: bytes) -> threading.Thread:
        """Read an intent, answer it and close the connection, as every variant does."""

        def respond() -> None:
            self.intent = self.connection.recv(1)
            self.connection.sendall(answer)
            self.connection.close()

        thread = threading.Thread(target=respond, daemon=True)
        thread.start()
        return thread


Connect = Callable[..., Engine]


@pytest.fixture
def connect(control: ControlChannel) -> Iterator[Connect]:
    """Connect an engine that sends the token and more data in one segment."""
    with ExitStack() as connections:

        def make(token: str | None = None, data: bytes = b"") -> Engine:
            port = int(control.environ["PREFECT__CONTROL_PORT"])
            connection = connections.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
            connection.sendall((token or control.environ["PREFECT__CONTROL_TOKEN"]).encode() + b"\n" + data)
            return Engine(connection)

        yield make


def _framed(receipt: object) -> bytes:
    data = json.dumps(receipt).encode()
    return b"\x01" + len(data).to_bytes(4, "big") + data


@pytest.mark.parametrize("hello", [b"", HELLO], ids=["A and B", "C"])
@pytest.mark.parametrize(("intent", "byte"), [("cancel", b"c"), ("reschedule", b"r"), ("relinquish", b"q")])
def test_intent_is_acknowledged(
    connect: Connect, control: ControlChannel, hello: bytes, intent: str, byte: bytes
) -> None:
    """The intent is one byte, and so is the answer."""
    engine = connect(data=hello)
    wait_until(lambda: control.connected)
    if hello:
        assert engine.connection.recv(5) == HELLO
    thread = engine.answer_intent(b"a")
    assert control.send(intent) == "acknowledged"
    thread.join(5)
    assert engine.intent == byte


@pytest.mark.parametrize("answer", [b"", b"x"], ids=["closes", "answers something else"])
def test_refused_intent_is_unheard(connect: Connect, control: ControlChannel, answer: bytes) -> None:
    """An engine that does not know the intent, or whose handler the flow has replaced, closes the connection."""
    engine = connect()
    wait_until(lambda: control.connected)
    engine.answer_intent(answer)
    assert control.send("reschedule") == "unheard"


def test_silent_engine_is_unheard_after_a_second(connect: Connect, control: ControlChannel) -> None:
    """An engine that hangs in compiled code cannot answer."""
    engine = connect()
    wait_until(lambda: control.connected)
    assert control.send("cancel") == "unheard"
    engine.connection.close()


def test_engine_that_never_connected_is_unheard(control: ControlChannel) -> None:
    """Older engines never connect, and newer ones do not while they import the flow."""
    assert control.send("cancel") == "unheard"


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_receipt_may_arrive_in_pieces(
    connect: Connect, control: ControlChannel, receipts: list[str], size: int
) -> None:
    """A receipt is acknowledged, announced once, and takes precedence over any later intent."""
    engine = connect()
    data = HELLO + _framed(REPORTED)
    for start in range(0, len(data), size):
        engine.connection.sendall(data[start : start + size])
    received = b"".join(engine.connection.recv(1) for _ in range(6))
    assert received == HELLO + b"\x02"
    wait_until(lambda: bool(receipts))
    answer: IntentAnswer = control.send("cancel")
    assert (answer, control.receipt, receipts, control.aborted) == ("concluded", REPORTED, ["receipt"], False)


def test_abort_is_reported(connect: Connect, control: ControlChannel, receipts: list[str]) -> None:
    """The channel knows if the engine reports that the server told it not to run."""
    connect(data=_framed({"disposition": "ORCHESTRATION_ABORTED"}))
    wait_until(lambda: bool(receipts))
    assert control.aborted


@pytest.mark.parametrize(
    "data",
    [b"\x01\xff\xff\xff\xff", b"\x01\x00\x00\x00\x00", b"\x01\x00\x00\x00\x02{]", b"\x01\x00\x00\x00\x02[]", b"?"],
)
def test_malformed_message_closes_the_connection(connect: Connect, receipts: list[str], data: bytes) -> None:
    """A malformed message closes the connection and is not announced."""
    engine = connect(data=data)
    assert engine.connection.recv(1) == b""
    assert receipts == []


def test_connection_with_a_wrong_token_is_closed(connect: Connect, control: ControlChannel) -> None:
    """A wrong token closes the connection, and the engine can still connect; the token works only once."""
    stranger = connect(token="0" * 32)
    assert stranger.connection.recv(1) == b""
    connect()
    wait_until(lambda: control.connected)
    with pytest.raises(OSError, match=r"refused"):
        connect()
