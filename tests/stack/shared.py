"""One Prefect server for all processes of a test run.

The first that asks starts a process that owns the server: `python -m tests.stack.shared FOLDER`. It stops the server
when the last user is gone, however that one ended: users hold a shared file lock, which the owner waits for.
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
"""Kept, since they outlive their use here: Popen warns when it is forgotten before it is waited for."""


@contextmanager
def locked(path: Path, kind: int) -> Iterator[None]:
    """Hold a file lock, LOCK_SH or LOCK_EX; the kernel releases it when this process ends."""
    with path.open("a") as file:
        flock(file, kind)
        yield


@contextmanager
def shared_server(folder: Path) -> Iterator[PrefectServer]:
    """The server of the run with this folder, started if it is not there; it stays while this context lasts."""
    with locked(folder / USERS, LOCK_SH):
        with locked(folder / "starting", LOCK_EX):
            if not _facts(folder).exists():
                _start_owner(folder)
        yield PrefectServer(**json.loads(_facts(folder).read_text()))


def _facts(folder: Path) -> Path:
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
        return _facts(folder).exists()

    wait_until(started, "the shared Prefect server", START_SECONDS)


def own(folder: Path) -> None:
    """Run the server until nobody uses it any more; a new user waits until it has stopped, and starts another one."""
    home = folder / "server"
    home.mkdir(exist_ok=True)
    password = f"admin:{secrets.token_hex(16)}"
    with (folder / USERS).open("a") as users:
        with PrefectServer.start(_address(), password, home) as server:
            written = folder / "server.json.new"
            written.write_text(json.dumps(asdict(server)))
            written.rename(_facts(folder))
            flock(users, LOCK_EX)
        _facts(folder).unlink()


def _address() -> str:
    """Docker's bridge, by which containers reach the server; without Docker the loopback interface."""
    try:
        return bridge_address()
    except DockerException:
        return LOOPBACK


if __name__ == "__main__":
    own(Path(sys.argv[1]))
