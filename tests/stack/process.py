"""Processes of the stack: started in their own session, stopped as a group, waited for by polling."""

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
STOP_SECONDS = 15


def tool(name: str) -> str:
    """The path of a program of the tools environment, the one that runs this code."""
    path = Path(sys.prefix) / "bin" / name
    if not path.exists():
        raise FileNotFoundError(f"{name} is not in {path.parent}: install requirements/dev.txt there")
    return str(path)


def free_port(host: str) -> int:
    """A TCP port that nobody listens on at this address."""
    with socket.create_server((host, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_until(poll: Callable[[], T | None], what: str, timeout: float) -> T:
    """The first answer of `poll` that is not None or False; TimeoutError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        answer = poll()
        if answer is not None and answer is not False:
            return answer
        time.sleep(POLL_SECONDS)
    raise TimeoutError(f"{what}: not within {timeout:g} s")


@contextmanager
def background(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program beside this one, with its output in `log`, and stop its whole session at the end.

    `setpriv --pdeathsig` has the kernel stop it when this process is killed.
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
    """SIGTERM to the whole session, then SIGKILL to what is left of it."""
    for number, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, None)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)


def ensure_running(process: subprocess.Popen[bytes], log: Path) -> None:
    """Raise with the end of its log when a background program has ended."""
    code = process.poll()
    if code is not None:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
        raise RuntimeError(f"{process.args!r} ended with code {code}:\n{tail}")
