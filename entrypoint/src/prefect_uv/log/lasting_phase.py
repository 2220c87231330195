"""What a phase that lasts is doing, for the flow run's state: Pending, with a name and a message that say so."""

from __future__ import annotations

import time

from prefect_uv.log.run_log import RunLog

LASTING_SECONDS = 5.0
PENDING_STATES = {
    "pull": ("Pulling", "getting the flow's code"),
    "sync": ("Installing", "preparing the flow's environment"),
    "code": ("Building", "making the project's code importable"),
}
"""For each phase that may last, the name of the state, and its message if nothing more is known."""


def pending_state(log: RunLog) -> tuple[str, str] | None:
    """The name and the message of the state; None if the current phase has not lasted, or has no name for it."""
    name, start = log.current_phase
    if name not in PENDING_STATES or time.perf_counter() - start < LASTING_SECONDS:
        return None
    state, message = PENDING_STATES[name]
    return state, log.mask(": ".join(filter(None, log.activity())) or message)
