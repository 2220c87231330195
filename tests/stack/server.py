"""A real Prefect server on SQLite, with CSRF protection and optional authentication."""

from __future__ import annotations

import os
import shutil
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_UN, flock
from pathlib import Path

from tests.stack.process import background, ensure_running, free_port, tool, wait_until
from tests.suite import mark

START_SECONDS = 300
DATABASE = "prefect.db"


@dataclass(frozen=True)
class PrefectServer:
    """The address and credentials of a running server, and the home directory that it writes to."""

    url: str
    auth_string: str
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which a client reaches this server."""
        return {"PREFECT_API_URL": self.url, "PREFECT_API_AUTH_STRING": self.auth_string}

    @classmethod
    @contextmanager
    def start(  # noqa: PLR0913 (what makes servers different)
        cls,
        host: str,
        auth_string: str,
        home: Path,
        settings: Mapping[str, str] | None = None,
        program: str | None = None,
        *,
        ui: bool = False,
    ) -> Iterator[PrefectServer]:
        """Run `prefect server start` with its database in `home`; an empty `auth_string` disables authentication.

        The program is another version's `prefect`, which makes its own tables, or that of the tests. With `ui`, the
        server has its pages, too.
        """
        port = free_port(host)
        server = cls(f"http://{host}:{port}/api", auth_string, home)
        log, database = home / "server.log", home / ".prefect" / DATABASE
        address = ["--host", host, "--port", str(port)]
        pages = "--ui" if ui else "--no-ui"
        command = [program or tool("prefect"), "server", "start", pages, "--analytics-off", *address]
        own = {"PREFECT_UI_API_URL": server.url, "PREFECT_UI_STATIC_DIRECTORY": str(home / "ui")} if ui else {}
        variables = {**_environment(home, auth_string), **own, **(settings or {})}
        with ExitStack() as running:
            with nullcontext() if program else _tables(database):
                process = running.enter_context(background(command, log, variables))

                def healthy() -> bool:
                    ensure_running(process, log)
                    return is_healthy(server.url)

                wait_until(healthy, "Prefect server", START_SECONDS)
            yield server


@contextmanager
def _tables(database: Path) -> Iterator[None]:
    """Start from a copy of the first server's database: to create the tables takes longer than the rest of the start.

    The other servers of the test run wait until the first one has started, and its new database was copied.
    """
    folder = mark.folder()
    if folder is None:
        yield
        return
    kept = folder / DATABASE
    with kept.with_suffix(".lock").open("w") as lock:
        flock(lock, LOCK_EX)
        if kept.exists():
            flock(lock, LOCK_UN)
            database.parent.mkdir(parents=True)
            shutil.copyfile(kept, database)
            yield
            return
        yield
        copy = kept.with_suffix(".copy")
        with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        copy.rename(kept)


def _environment(home: Path, auth_string: str) -> dict[str, str]:
    return {
        **plain_environment(home),
        **({"PREFECT_SERVER_API_AUTH_STRING": auth_string} if auth_string else {}),
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
    }


def plain_environment(home: Path) -> dict[str, str]:
    """This process's environment variables without Prefect's settings, and with another HOME."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return {**inherited, "HOME": str(home)}


def is_healthy(url: str) -> bool:
    """Whether the server answers and is healthy."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as response:  # noqa: S310 - our own http address
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
