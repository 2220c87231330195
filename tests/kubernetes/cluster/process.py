"""The first process of a container: podman's service would poll for its end without a pause."""

from __future__ import annotations

import os
import re
import select
from contextlib import suppress
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMORY = re.compile(r"^\d+:(?P<controller>memory)?:(?P<path>.*)$", re.MULTILINE)
KILLS = re.compile(r"^oom_kill ([1-9]\d*)$", re.MULTILINE)


def wait_for_process(pid: int) -> bool:
    """Wait for a process, 0 if it has ended already.

    Returns:
        whether the kernel killed a process of its control group because memory ran out.
    """
    if not pid:
        return False
    counter = _kill_counter(pid)
    with suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            select.select([descriptor], [], [])
        finally:
            os.close(descriptor)
    try:
        return bool(KILLS.search(counter.read_text()))
    except OSError:
        return False


def _kill_counter(pid: int) -> Path:
    """The file that counts such kills, in control groups of version 1 or 2."""
    try:
        groups = Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return Path(os.devnull)
    match = max(MEMORY.finditer(groups), key=lambda found: bool(found["controller"]), default=None)
    if not match:
        return Path(os.devnull)
    if match["controller"]:
        return CGROUPS / "memory" / match["path"].lstrip("/") / "memory.oom_control"
    return CGROUPS / match["path"].lstrip("/") / "memory.events"
