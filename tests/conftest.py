"""One server for the session, one stack for each process of it; how the tests run: see tests/suite."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.suite import lanes, mark
from tests.suite.leftovers import Leftovers
from tests.suite.spent import Spent, budgets

if TYPE_CHECKING:
    from tests.stack import ClosedNetwork, PrefectServer, Stack


def pytest_configure(config: pytest.Config) -> None:
    """Told to stop, the tests clean up as after Ctrl-C; the process that was started reports for all."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Leftovers(mark.begin()))
        config.pluginmanager.register(Spent(budgets()))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> lanes.Lanes | None:
    """`--dist loadscope` keeps together what shares fixtures."""
    return lanes.Lanes(config, log) if config.getoption("dist") == "loadscope" else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Side by side, what takes longest begins first."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: lanes.rank(item.nodeid))


@pytest.fixture(scope="session")
def shared_server() -> Iterator[PrefectServer]:
    """The Prefect server of all tests that do not need one of their own, with authentication and CSRF protection."""
    from tests.stack.shared import shared_server  # noqa: PLC0415 (costs a second that the unit tests need not wait)

    with shared_server(mark.required()) as running:
        yield running


@pytest.fixture(scope="session")
def stack(shared_server: PrefectServer) -> Iterator[Stack]:
    """The server, a worker, a git server and a cache volume that most tests share."""
    from tests.stack import Stack, image_name  # noqa: PLC0415 (as above)

    pool = f"docker-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
    with Stack.around(shared_server, image_name("py313"), "prefect-uv.tests", pool) as running, running.worker():
        yield running


@pytest.fixture
def closed(stack: Stack) -> Iterator[ClosedNetwork]:
    """A network on which there is only the server's API."""
    from tests.stack import ClosedNetwork  # noqa: PLC0415 (as above)

    with ClosedNetwork.create(stack.containers, stack.image, stack.server) as network:
        yield network
