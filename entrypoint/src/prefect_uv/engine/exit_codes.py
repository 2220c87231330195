"""What an exit code of the engine means, in one sentence.

The codes of Prefect 3.8.8, and what this container knows in addition:
https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/_internal/infrastructure_exit_codes.py
"""

from __future__ import annotations

import signal
from pathlib import Path

from prefect_uv.processes.signals import SIGNAL_EXIT

OOM_EVENTS = Path("/sys/fs/cgroup/memory.events")
SIGNALS = {
    signal.SIGKILL: "most often the kernel does this because memory ran out: give the container more memory, or have"
    " the flow hold less at a time",
    signal.SIGTERM: "something asked it to stop: a scale-down, an eviction, a stopped container",
    signal.SIGSEGV: "compiled code accessed memory that it must not access (a segmentation fault)",
    signal.SIGABRT: "compiled code aborted",
    signal.SIGBUS: "a memory-mapped file or shared memory was too small: give the container a larger /dev/shm",
    signal.SIGILL: "compiled code uses instructions that this processor does not have",
}
CODES = {
    0: "it ended without reporting a final state",
    1: "it ended with an error, which is in the lines above or in the flow run's log",
    2: "it was started with unknown options",
    126: "a command is not executable",
    127: "a command does not exist",
    247: "memory ran out",
}


def explain_exit_code(code: int) -> str:
    """Explain an exit code as a shell reports it: 128 + n if signal n killed the process.

    https://www.gnu.org/software/bash/manual/html_node/Exit-Status.html
    """
    number = code - SIGNAL_EXIT
    if number in {*signal.Signals}:
        name = signal.Signals(number).name
        reason = SIGNALS.get(signal.Signals(number), "the cause is not known")
        oom = " (the kernel's out-of-memory killer killed processes in this container)" if _oom_kills() else ""
        return f"The engine was killed by {name}: {reason}{oom if number == signal.SIGKILL else ''}."
    return f"The engine ended with exit code {code}: {CODES.get(code, 'the flow or a library ended the process')}."


def _oom_kills() -> int:
    """How many processes of this container the kernel has killed because memory ran out.

    `memory.events` of cgroup v2: https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
    """
    try:
        counters = dict(line.split() for line in OOM_EVENTS.read_text().splitlines())
    except (OSError, ValueError):
        return 0
    return int(counters.get("oom_kill", 0))
