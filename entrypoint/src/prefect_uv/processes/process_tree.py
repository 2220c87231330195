"""Finding the descendants of a process, even those in sessions of their own, and sending them signals."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from prefect_uv.command_line import SHELLS

# prctl(2): https://man7.org/linux/man-pages/man2/PR_SET_CHILD_SUBREAPER.2const.html
PR_SET_CHILD_SUBREAPER = 36
KILL_SECONDS = 10.0
SWEEP_SECONDS = 0.005
ZOMBIE = "Z"


class Process(NamedTuple):
    """A process; the time of its start (clock ticks since boot) tells it from a later one with the same id."""

    pid: int
    started: str

    def runs(self) -> bool:
        """Whether it has not ended."""
        state, _, started = _status(self.pid)
        return started == self.started and state != ZOMBIE

    def send(self, signum: signal.Signals) -> bool:
        """Send a signal; False if the process has ended, or may not get signals from us."""
        try:
            if self.runs():
                os.kill(self.pid, signum)
                return True
        except (ProcessLookupError, PermissionError):
            pass
        return False


def adopt_orphans() -> None:
    """Make this process, instead of the container's first process, the parent of descendants whose own parent dies.

    If the kernel refuses, orphans are no longer found among our descendants and live until the container ends.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(*ancestors: int) -> list[Process]:
    """All descendants of these processes, zombies included; the children of the first one come first."""
    children: dict[str, list[Process]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            _, parent, started = _status(int(entry.name))
            children[parent].append(Process(int(entry.name), started))
    found = [child for pid in ancestors for child in children[str(pid)]]
    for process in found:
        found += children[str(process.pid)]
    return found


def command_line(pid: int) -> bytes:
    """A process's command line, as a child has it too until it runs another program; empty if there is no process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def shell_above() -> str:
    """The command of a shell that the container runs and that waits for us, such as `sh -c 'cd src && prefect …'`.

    It passes no signal on: as the container's first process it ignores SIGTERM, and below tini it dies of it, which
    ends the container. Empty if there is no such shell.
    """
    parent = os.getppid()
    program, *words = os.fsdecode(command_line(parent)).split("\0")
    waits = Path(program).name in SHELLS and words[:1] == ["-c"] and "1" in {str(parent), _status(parent)[1]}
    return words[1] if waits else ""


def _status(pid: int) -> tuple[str, str, str]:
    """A process's state, the id of its parent, and the time of its start; empty strings if it does not exist.

    They are counted from the last `)`, because the name before it may contain anything:
    https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return "", "", ""
    return fields[0], fields[1], fields[19]


def kill_all() -> None:
    """Send SIGKILL to every current descendant, without waiting for any to die."""
    for process in descendants(os.getpid()):
        process.send(signal.SIGKILL)


def kill_descendants() -> None:
    """Kill and reap descendants until none is left, for at most ten seconds."""
    deadline = time.monotonic() + KILL_SECONDS
    while descendants(os.getpid()) and time.monotonic() < deadline:
        kill_all()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(SWEEP_SECONDS)
