"""The stack's processes: each starts in its own session, and is stopped together with its process group."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
POLL_SECONDS = 0.1
STOP_SECONDS = 5


def tool(name: str) -> str:
    """The path of a program in the environment that runs this code."""
    path = Path(sys.prefix) / "bin" / name
    if not path.exists():
        raise FileNotFoundError(f"{name} is not in {path.parent}: install requirements/dev.txt there")
    return str(path)


def free_port(host: str) -> int:
    """A TCP port that is free at this address."""
    with socket.create_server((host, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_until(poll: Callable[[], T | None], awaited: str, timeout: float, pause: float = POLL_SECONDS) -> T:
    """Call `poll` until it returns neither None nor False, and return that value; `pause` for polls that cost.

    Raises:
        TimeoutError: it did not within `timeout` seconds; the message begins with `awaited`.
    """
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        value = poll()
        if value is not None and value is not False:
            return value
        time.sleep(pause)
    raise TimeoutError(f"{awaited}: not within {timeout:g} s")


@contextmanager
def background(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in the background, with its output in `log`, and stop its process group at the end.

    If this process is killed, the kernel stops the program (https://man7.org/linux/man-pages/man1/setpriv.1.html).
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _stop_session(process)


def _stop_session(process: subprocess.Popen[bytes]) -> None:
    """Send SIGTERM to the process group, then SIGKILL to the processes that remain."""
    for number, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, None)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)


def ensure_running(process: subprocess.Popen[bytes], log: Path) -> None:
    """Raise RuntimeError, with the end of its log, if a background program has ended."""
    code = process.poll()
    if code is not None:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
        raise RuntimeError(f"{process.args!r} ended with code {code}:\n{tail}")
