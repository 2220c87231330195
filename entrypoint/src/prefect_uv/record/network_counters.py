"""How much this container has received, as the kernel counts it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

NETWORK_COUNTERS = Path("/proc/self/net/dev")
OWN_INTERFACE = "lo"


def received_bytes(counters: Path = NETWORK_COUNTERS) -> dict[str, int]:
    """The bytes that each network interface has received, without the container's own to itself; empty if unknown.

    Linux 6.12: https://man7.org/linux/man-pages/man5/proc_pid_net.5.html
    """
    try:
        rows = [line.partition(":") for line in counters.read_text().splitlines()[2:]]
        return {name.strip(): int(values.split()[0]) for name, _, values in rows if name.strip() != OWN_INTERFACE}
    except (OSError, ValueError, IndexError):
        return {}


def received_since(before: Mapping[str, int], counters: Path = NETWORK_COUNTERS) -> int | None:
    """What the interfaces that were there before have received since; None if unknown.

    On the host's network, interfaces of other containers come and go meanwhile.
    """
    now = received_bytes(counters)
    known = before.keys() & now.keys()
    return sum(max(0, now[name] - before[name]) for name in known) if known else None
