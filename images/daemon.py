"""Start a daemon in its own session, wait until it is ready, and stop it with all its descendants."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from images.process import ToolError

Process = subprocess.Popen[bytes]

READY_SECONDS = 60
STOP_SECONDS = 60
POLL_SECONDS = 0.1
TAIL_LINES = 20


def start(command: list[str], log: Path, ready: Callable[[], bool]) -> Process:
    """Start a daemon in its own session and wait until it is ready.

    Raises:
        ToolError: it ended, or was not ready in time; with the end of its log.
    """
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    is_ready = False
    try:
        is_ready = wait_until(lambda: process.poll() is not None or ready(), READY_SECONDS) and process.poll() is None
    finally:
        if not is_ready:
            stop(process)
    if not is_ready:
        tail = "\n".join(log.read_text().splitlines()[-TAIL_LINES:])
        message = f"`{' '.join(command)}` ended, or was not ready within {READY_SECONDS} s:\n{tail}"
        raise ToolError(message)
    return process


def stop(process: Process, grace_seconds: float = STOP_SECONDS) -> None:
    """Terminate the daemon, wait for it and its descendants, and kill those that are left."""
    tree = process_tree(process.pid)

    def ended() -> bool:
        return process.poll() is not None and not alive(tree)

    process.terminate()
    if not wait_until(ended, grace_seconds):
        for pid in alive(tree):
            _kill(pid)
        wait_until(ended, grace_seconds)


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll until the condition holds; return False if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def process_tree(pid: int) -> dict[int, str]:
    """The process and its descendants by PID, with their start times, which tell a reused PID from the original."""
    stats = {int(entry.name): _stat(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    tree = {pid} if stats.get(pid) else set()
    while children := {child for child, fields in stats.items() if fields and int(fields[1]) in tree} - tree:
        tree |= children
    return {member: stats[member][19] for member in tree}


def alive(tree: dict[int, str]) -> list[int]:
    """The processes of a tree that are still running; zombies are not."""
    return [pid for pid, started in tree.items() if (f := _stat(pid)) and f[19] == started and f[0] != "Z"]


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name (0 state, 1 parent, 19 start time); empty if the process is gone.

    Linux: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
