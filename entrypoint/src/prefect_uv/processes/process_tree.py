"""The process and all its descendants, whatever sessions they have made for themselves."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
KILL_SECONDS = 10.0
SWEEP_SECONDS = 0.005


def adopt_orphans() -> None:
    """From now on a descendant whose parent dies becomes our child, instead of the container's first process's.

    Where the kernel refuses, orphans cannot be found by their ancestry and live until the container ends.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants() -> list[int]:
    """The ids of all processes below this one, zombies included."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
                children[int(fields[1])].append(int(entry.name))
    found = children[os.getpid()]
    for pid in found:
        found += children[pid]
    return found


def kill_all() -> None:
    """SIGKILL to every descendant, again for those that appear meanwhile; gives up on what the kernel holds."""
    for pid in descendants():
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def kill_descendants() -> int:
    """Kill and reap until nothing is left below this process.

    Returns:
        how many processes it took.
    """
    found = set()
    deadline = time.monotonic() + KILL_SECONDS
    while (left := descendants()) and time.monotonic() < deadline:
        found |= set(left)
        kill_all()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(SWEEP_SECONDS)
    return len(found)
