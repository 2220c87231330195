"""One Prefect server for all processes of a test run.

The first process that needs it starts an owner of the server: `python -m tests.stack.shared FOLDER`. Each user holds a
shared file lock. The owner waits for an exclusive one and then stops the server, even if the last user was killed.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from fcntl import LOCK_EX, LOCK_SH, flock
from pathlib import Path

from docker.errors import DockerException

from tests.stack.containers import bridge_address
from tests.stack.process import wait_until
from tests.stack.server import START_SECONDS, PrefectServer

ROOT = Path(__file__).parents[2]
LOOPBACK = "127.0.0.1"
USERS = "users"
OWNERS: list[subprocess.Popen[bytes]] = []
"""Kept because Popen warns if it is garbage-collected while its process still runs."""


@contextmanager
def locked(path: Path, kind: int) -> Iterator[None]:
    """Hold a file lock, LOCK_SH or LOCK_EX; the kernel releases it when this process ends."""
    with path.open("a") as file:
        flock(file, kind)
        yield


@contextmanager
def shared_server(folder: Path) -> Iterator[PrefectServer]:
    """Yield the server of the run with this folder, and start it if necessary; it runs at least during the context."""
    with locked(folder / USERS, LOCK_SH):
        with locked(folder / "starting", LOCK_EX):
            if not _server_file(folder).exists():
                _start_owner(folder)
        yield PrefectServer(**json.loads(_server_file(folder).read_text()))


def _server_file(folder: Path) -> Path:
    return folder / "server.json"


def _start_owner(folder: Path) -> None:
    log = folder / "owner.log"
    with log.open("w") as output:
        owner = subprocess.Popen(
            [sys.executable, "-m", "tests.stack.shared", str(folder)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    OWNERS.append(owner)

    def started() -> bool:
        if owner.poll() is not None:
            raise RuntimeError(f"the shared Prefect server did not start:\n{log.read_text()}")
        return _server_file(folder).exists()

    wait_until(started, "the shared Prefect server", START_SECONDS)


def own_server(folder: Path) -> None:
    """Run the server until it has no users; a later user waits until it has stopped, and starts another one."""
    home = folder / "server"
    home.mkdir(exist_ok=True)
    password = f"admin:{secrets.token_hex(16)}"
    with (folder / USERS).open("a") as users:
        with PrefectServer.start(_address(), password, home) as server:
            written = folder / "server.json.new"
            written.write_text(json.dumps(asdict(server)))
            written.rename(_server_file(folder))
            flock(users, LOCK_EX)
        _server_file(folder).unlink()


def _address() -> str:
    """The address of Docker's bridge, where containers reach the server; the loopback interface without Docker."""
    try:
        return bridge_address()
    except DockerException:
        return LOOPBACK


if __name__ == "__main__":
    own_server(Path(sys.argv[1]))
