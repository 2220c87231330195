"""How much this container has received, as the kernel counts it."""

from __future__ import annotations

from pathlib import Path

NETWORK_COUNTERS = Path("/proc/self/net/dev")


def received_bytes() -> int | None:
    """The bytes that the network interfaces of this container have received, without its own to itself.

    Linux 6.12: https://man7.org/linux/man-pages/man5/proc_pid_net.5.html
    """
    try:
        rows = [line.partition(":") for line in NETWORK_COUNTERS.read_text().splitlines()[2:]]
        return sum(int(counters.split()[0]) for name, _, counters in rows if name.strip() != "lo")
    except (OSError, ValueError, IndexError):
        return None
