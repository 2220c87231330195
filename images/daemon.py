"""A daemon in its own session: started, waited for, and stopped with everything it started."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from images.process import ToolError

Process = subprocess.Popen[bytes]

READY_WITHIN = 60
STOPPED_WITHIN = 60
POLL = 0.1
TAIL = 20


def start(command: list[str], log: Path, ready: Callable[[], bool]) -> Process:
    """Start a daemon in its own session and wait until it is ready."""
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    up = False
    try:
        up = wait_until(lambda: process.poll() is not None or ready(), READY_WITHIN) and process.poll() is None
    finally:
        if not up:
            stop(process)
    if not up:
        tail = "\n".join(log.read_text().splitlines()[-TAIL:])
        message = f"`{' '.join(command)}` was not ready within {READY_WITHIN} s:\n{tail}"
        raise ToolError(message)
    return process


def stop(process: Process, patience: float = STOPPED_WITHIN) -> None:
    """Stop the daemon and its descendants: ask it first, kill what stays."""
    family = descendants(process.pid)

    def gone() -> bool:
        return process.poll() is not None and not alive(family)

    process.terminate()
    if not wait_until(gone, patience):
        for pid in alive(family):
            _kill(pid)
        wait_until(gone, patience)


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll until the condition holds; False when it does not within the time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)
    return True


def descendants(pid: int) -> dict[int, str]:
    """The process and all below it, with their start times, so that a reused id is not mistaken for one of them."""
    table = {int(entry.name): _stat(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    family = {pid} if table.get(pid) else set()
    while more := {child for child, fields in table.items() if fields and int(fields[1]) in family} - family:
        family |= more
    return {member: table[member][19] for member in family}


def alive(family: dict[int, str]) -> list[int]:
    """Those of the processes that still run; a zombie does not."""
    return [pid for pid, started in family.items() if (f := _stat(pid)) and f[19] == started and f[0] != "Z"]


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name: state, parent, … , start time at 19."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
