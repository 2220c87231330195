"""One stack for the session."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.stack import ClosedNetwork, Stack


def pytest_configure() -> None:
    """Told to stop, the tests clean up as after Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The server, the worker, the git server and a cache volume that most tests share."""
    from tests.stack import Stack, image_name  # noqa: PLC0415 (costs a second that the unit tests need not wait)

    with Stack.start(image_name("py313"), "prefect-uv.tests") as running:
        yield running


@pytest.fixture
def closed(stack: Stack) -> Iterator[ClosedNetwork]:
    """A network on which there is only the server's API."""
    from tests.stack import ClosedNetwork  # noqa: PLC0415 (as above)

    with ClosedNetwork.create(stack.containers, stack.image, stack.server) as network:
        yield network
