"""Finding and killing all descendants of this process, even those in sessions of their own."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

# prctl(2): https://man7.org/linux/man-pages/man2/PR_SET_CHILD_SUBREAPER.2const.html
PR_SET_CHILD_SUBREAPER = 36
KILL_SECONDS = 10.0
SWEEP_SECONDS = 0.005


def adopt_orphans() -> None:
    """Make this process, instead of the container's first process, the parent of descendants whose own parent dies.

    If the kernel refuses, orphans are no longer found among our descendants and live until the container ends.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants() -> list[int]:
    """The ids of all descendants of this process, zombies included.

    The parent's id is the second field after the last `)`: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    """
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
                children[int(fields[1])].append(int(entry.name))
    pids = children[os.getpid()]
    for pid in pids:
        pids += children[pid]
    return pids


def kill_all() -> None:
    """Send SIGKILL to every current descendant, without waiting for any to die."""
    for pid in descendants():
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def kill_descendants() -> int:
    """Kill and reap descendants until none is left, for at most ten seconds.

    Returns:
        the number of processes that were found.
    """
    seen: set[int] = set()
    deadline = time.monotonic() + KILL_SECONDS
    while (remaining := descendants()) and time.monotonic() < deadline:
        seen |= set(remaining)
        kill_all()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(SWEEP_SECONDS)
    return len(seen)
