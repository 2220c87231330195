"""The Prefect server of one process of the tests, which all of its tests share."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from docker.errors import DockerException

from tests.stack.containers import bridge_address
from tests.stack.server import PrefectServer

LOOPBACK = "127.0.0.1"
UNUSED = ("SCHEDULER", "LATE_RUNS", "PAUSE_EXPIRATIONS", "CLEANUP_RECONCILER", "REPOSSESSOR", "TRIGGERS", "DB_VACUUM")
"""Services that no test asks anything of; each wakes up every few seconds (Prefect 3.8.8)."""
LEASES = {
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    "PREFECT_SERVER_CONCURRENCY_INITIAL_DEPLOYMENT_LEASE_DURATION": "30",
}
"""Leases on concurrency slots are short, and in files that a test can read."""


@contextmanager
def shared_server(folder: Path) -> Iterator[PrefectServer]:
    """Start a server with authentication, whose database is in this folder."""
    home = Path(mkdtemp(prefix="server-", dir=folder))
    settings = {f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "false" for name in UNUSED} | LEASES
    with PrefectServer.start(_address(), f"admin:{secrets.token_hex(16)}", home, settings) as server:
        yield server


def _address() -> str:
    """The address of Docker's bridge, where containers reach the server; the loopback interface without Docker."""
    try:
        return bridge_address()
    except DockerException:
        return LOOPBACK
