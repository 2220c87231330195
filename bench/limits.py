"""`python -m bench.limits`: how little memory a flow run needs, with a build and without.

Runs the same flow in containers with less and less memory, each time on an empty volume and then on one that has the
environment. The kernel takes the page cache back before it kills, so the peak of the memory in use says little: what
counts is the smallest limit with which the run completes, and how long it takes then.
"""

from __future__ import annotations

import sys
import time

from bench.measure import create_pending_run
from bench.testbed import EXECUTE, IMAGE, Testbed
from tests.stack import CacheVolume, image_name
from tests.stack.environment import job_volumes

LIMITS = (1024, 512, 384, 256, 192, 160, 128)
SECONDS = 300


def main() -> int:
    """Print a line for each limit."""
    with Testbed.open() as testbed:
        for limit in LIMITS:
            with testbed.volume() as volume, testbed.volume() as filled:
                attempt(testbed, filled, 1024)
                cold, warm = attempt(testbed, volume, limit), attempt(testbed, filled, limit)
            sys.stdout.write(f"{limit} MiB: with a build {cold}, without {warm}\n")
            sys.stdout.flush()
    return 0


def attempt(testbed: Testbed, volume: CacheVolume, limit: int) -> str:
    """Run a flow that does nothing with this limit (MiB, without swap): its state, exit code and seconds."""
    flow_run = create_pending_run(testbed, testbed.deploy("limits"))
    began = time.monotonic()
    container = testbed.containers.start(
        image_name(IMAGE),
        EXECUTE,
        {**testbed.server.environment, "PREFECT__FLOW_RUN_ID": str(flow_run)},
        job_volumes(volume.name),
        mem_limit=f"{limit}m",
        memswap_limit=f"{limit}m",
    )
    outcome = testbed.containers.wait(container, SECONDS)
    seconds = time.monotonic() - began
    container.remove()
    state = testbed.api.client.read_flow_run(flow_run).state
    return f"{state.name if state else None} ({outcome.exit_code}) in {seconds:.1f} s"


if __name__ == "__main__":
    sys.exit(main())
