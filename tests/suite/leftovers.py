"""Remove and report what a test run left behind because its fixtures could not clean up.

A run that ends normally leaves nothing. An interrupted one may: pytest-xdist kills a process that does not tear down
its fixtures within a few seconds.
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
    """Cleans up at the end of the session, and lists in the summary what it removed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._removed: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Clean up after all fixtures and all processes of pytest-xdist."""
        self._removed = remove(self._folder)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """List what was removed."""
        if self._removed:
            terminalreporter.section("left behind by the tests, and removed")
            for line in self._removed:
                terminalreporter.line(line)


def remove(folder: Path, seconds: float = END_SECONDS) -> list[str]:
    """Kill the processes and remove the containers, volumes, images and pods with this run's mark, then its folder.

    Returns:
        A line for each of them.
    """
    removed = _kill_processes(folder, seconds)
    if (folder / mark.DOCKER).exists():
        removed += _remove_from_docker(f"{mark.LABEL}={folder.name}")
    if (folder / mark.PODMAN).exists():
        removed += _remove_from_podman(folder / mark.PODMAN)
    shutil.rmtree(folder, ignore_errors=True)
    return removed


def _kill_processes(folder: Path, seconds: float) -> list[str]:
    """Kill what does not end on its own in this time; the servers of a process get SIGTERM with it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(_marked(folder)):
        time.sleep(POLL_SECONDS)
    killed = []
    for pid in _marked(folder):
        with suppress(OSError):
            killed.append(f"process {pid}: {_command_line(pid)}")
            os.kill(pid, signal.SIGKILL)
    return killed


def _marked(folder: Path) -> Iterator[int]:
    """The processes that inherited the run's variable: not this one, which set the variable after it had started."""
    assignment = f"{mark.VARIABLE}={folder}".encode()
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdecimal() and assignment in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name)


def _command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:120]


def _remove_from_docker(label: str) -> list[str]:
    import docker  # noqa: PLC0415 (takes half a second, which unit tests need not wait for)

    removed = []
    with closing(docker.from_env(timeout=120)) as client:
        for container in client.containers.list(all=True, filters={"label": label}, ignore_removed=True):
            removed.append(f"container {container.name}")
            container.remove(force=True, v=True)
        for volume in client.volumes.list(filters={"label": label}):
            removed.append(f"volume {volume.name}")
            volume.remove(force=True)
        for image in client.images.list(filters={"label": label}):
            removed.append(f"image {image.tags}")
            client.images.remove(str(image.id), force=True)
    return removed


def _remove_from_podman(folder: Path) -> list[str]:
    from tests.kubernetes.cluster import podman  # noqa: PLC0415 (as above)

    return [f"pod {name}" for name in podman.remove(folder)]
