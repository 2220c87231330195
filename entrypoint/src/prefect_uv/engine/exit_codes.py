"""What an engine's exit code says, for people. The codes of Prefect's own list, and what this container knows more."""

from __future__ import annotations

import signal
from pathlib import Path

SIGNAL_EXIT = 128
OOM_EVENTS = Path("/sys/fs/cgroup/memory.events")
SIGNALS = {
    signal.SIGKILL: "something killed it, most often the kernel because memory ran out: give the container more memory"
    " or the flow less to hold at once",
    signal.SIGTERM: "something asked it to stop: a scale-down, an eviction, a stopped container",
    signal.SIGSEGV: "compiled code wrote or read where it must not (a segmentation fault)",
    signal.SIGABRT: "compiled code gave up (an abort)",
    signal.SIGBUS: "a memory-mapped file or shared memory was too small: give the container more of /dev/shm",
    signal.SIGILL: "compiled code uses instructions that this processor does not have",
}
CODES = {
    0: "it ended without reporting a final state",
    1: "it ended with an error: the lines above and the flow run's log say which",
    2: "it was started with options that it does not know",
    126: "a command is not executable",
    127: "a command does not exist",
    247: "memory ran out",
}


def explain_exit_code(code: int) -> str:
    """One sentence for an exit code as a shell gives it (128 + n when signal n has killed the process)."""
    number = code - SIGNAL_EXIT
    if number in {*signal.Signals}:
        name = signal.Signals(number).name
        reason = SIGNALS.get(signal.Signals(number), "nobody here knows why")
        oom = " (the kernel's out-of-memory killer was at work in this container)" if _oom_kills() else ""
        return f"The engine was killed by {name}: {reason}{oom if number == signal.SIGKILL else ''}."
    return f"The engine ended with exit code {code}: {CODES.get(code, 'the flow or a library ended the process')}."


def _oom_kills() -> int:
    """How many processes of this container the kernel has killed for memory (cgroup v2)."""
    try:
        counters = dict(line.split() for line in OOM_EVENTS.read_text().splitlines())
    except (OSError, ValueError):
        return 0
    return int(counters.get("oom_kill", 0))
