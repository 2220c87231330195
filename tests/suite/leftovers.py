"""What a run of the tests has left behind when its fixtures could not clean up: it is removed, and reported.

A run that ends normally leaves nothing. One that is interrupted may: a process of pytest-xdist that has not torn down
its fixtures within a few seconds is killed.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.suite import mark

END_SECONDS = 20
POLL_SECONDS = 0.1


class Leftovers:
    """Cleans up when the session is over, and names in the summary what there was to clean up."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """After all fixtures, and after the processes of pytest-xdist."""
        self._found = remove(self._folder)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name what was found."""
        if self._found:
            terminalreporter.section("left behind by the tests, and removed")
            for line in self._found:
                terminalreporter.line(line)


def remove(folder: Path, seconds: float = END_SECONDS) -> list[str]:
    """Kill the processes, and remove the containers, volumes and images that carry this run's mark, then its folder."""
    found = _processes(folder, seconds)
    if (folder / mark.DOCKER).exists():
        found += _of_docker(f"{mark.LABEL}={folder.name}")
    shutil.rmtree(folder, ignore_errors=True)
    return found


def _processes(folder: Path, seconds: float) -> list[str]:
    """Those that do not end by themselves: the shared server does, when its last user is gone."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(_marked(folder)):
        time.sleep(POLL_SECONDS)
    found = []
    for pid in _marked(folder):
        with suppress(OSError):
            found.append(f"process {pid}: {_command_line(pid)}")
            os.kill(pid, signal.SIGKILL)
    return found


def _marked(folder: Path) -> Iterator[int]:
    """The processes that have inherited the run's variable; this one has set it too late to be among them."""
    wanted = f"{mark.VARIABLE}={folder}".encode()
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdecimal() and wanted in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name)


def _command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:120]


def _of_docker(label: str) -> list[str]:
    import docker  # noqa: PLC0415 (half a second that the unit tests need not wait)

    found = []
    with closing(docker.from_env(timeout=120)) as client:
        for container in client.containers.list(all=True, filters={"label": label}, ignore_removed=True):
            found.append(f"container {container.name}")
            container.remove(force=True, v=True)
        for volume in client.volumes.list(filters={"label": label}):
            found.append(f"volume {volume.name}")
            volume.remove(force=True)
        for image in client.images.list(filters={"label": label}):
            found.append(f"image {image.tags}")
            client.images.remove(str(image.id), force=True)
    return found
