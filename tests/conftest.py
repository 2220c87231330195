"""Fixtures: one Prefect server and one stack for each process of the tests (see tests/suite)."""

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
    """Make SIGTERM clean up like Ctrl-C, and let the first process report for all."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Leftovers(mark.begin()))
        config.pluginmanager.register(Spent(budgets()))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes after their parameter: the time in compressed ones differs between processes, which must not."""
    return argname if isinstance(val, bytes) else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> lanes.Lanes | None:
    """Make `--dist loadscope` keep tests together that share fixtures."""
    return lanes.Lanes(config, log) if config.getoption("dist") == "loadscope" else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the long forms unless PREFECT_UV_TEST_FULL is set.

    If tests run in parallel, start the longest units first, and allow each test more time.
    """
    if not os.environ.get("PREFECT_UV_TEST_FULL"):
        long_forms = [item for item in items if item.get_closest_marker("full")]
        items[:] = [item for item in items if item not in long_forms]
        config.hook.pytest_deselected(items=long_forms)
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: lanes.rank(item.nodeid))
        for item in items:
            lanes.extend_timeout(item)


@pytest.fixture(scope="session")
def shared_server() -> Iterator[PrefectServer]:
    """The Prefect server of all tests that do not need one of their own, with authentication and CSRF protection."""
    from tests.stack.shared import shared_server  # noqa: PLC0415 (takes a second, which unit tests need not wait for)

    with shared_server(mark.required()) as running:
        yield running


@pytest.fixture(scope="session")
def stack(shared_server: PrefectServer) -> Iterator[Stack]:
    """The server, a worker, a git server and a cache volume, which most tests share."""
    from tests.stack import HARDENED, Stack, image_name  # noqa: PLC0415 (as above)

    with Stack.around(shared_server, image_name("py313"), "prefect-uv.tests") as running, running.worker(HARDENED):
        yield running


@pytest.fixture
def closed(stack: Stack) -> Iterator[ClosedNetwork]:
    """A network on which only the server's API can be reached."""
    from tests.stack import ClosedNetwork  # noqa: PLC0415 (as above)

    with ClosedNetwork.create(stack.containers, stack.image, stack.server) as network:
        yield network
