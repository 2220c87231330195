"""Fixtures: the host, and the record of results."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.engine.host import ROOT, Host
from tests.stack.api import Api
from tests.stack.server import PrefectServer

PREVIOUS = "3.8.8"
RESULTS = ROOT / "docs" / "reference" / "supervision.json"


class Record(Protocol):
    """Saves results for the table in the docs."""

    def __call__(self, case: str, version: str, **result: Any) -> None:
        """Save a result."""


@pytest.fixture(scope="session")
def host(shared_server: PrefectServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """This machine, with the entrypoint and a Prefect server with authentication and CSRF protection."""
    with Api.connect(shared_server) as api:
        yield Host.make(tmp_path_factory.mktemp("host"), shared_server, api)


@pytest.fixture(scope="session")
def open_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host whose server needs no authentication, for engines older than PREFECT_API_AUTH_STRING."""
    home = tmp_path_factory.mktemp("open")
    with PrefectServer.start("127.0.0.1", "", home) as server, Api.connect(server) as api:
        yield Host.make(home, server, api)


@pytest.fixture(scope="session")
def previous_host(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """The same host with a server of an earlier Prefect, which needs no authentication."""
    home, program = tmp_path_factory.mktemp("previous"), str(host.built(PREVIOUS) / "bin" / "prefect")
    with PrefectServer.start("127.0.0.1", "", home, program=program) as server, Api.connect(server) as api:
        yield replace(host, server=server, api=api)


@pytest.fixture(scope="session")
def record() -> Record:
    """Save results of the full matrix in docs/reference/supervision.json, from which the table is generated."""

    def save(case: str, version: str, **result: Any) -> None:
        if not os.environ.get("PREFECT_UV_TEST_FULL"):
            return
        with Path(RESULTS).open("a+") as file:
            flock(file, LOCK_EX)
            file.seek(0)
            results = json.loads(file.read() or "{}")
            results.setdefault(case, {})[version] = result
            file.truncate(0)
            file.write(json.dumps(results, indent=1, sort_keys=True) + "\n")

    return save
