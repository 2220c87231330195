"""The lease on a slot of the deployment's concurrency limit, which somebody has to renew until the flow runs.

The server grants it with Pending, for five minutes by default, and gives the slot to another run when it expires. The
engine renews it while the flow runs; so do we while code is pulled and an environment built, in the same way.
Prefect 3.4.11 to 3.8.8: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/concurrency/_leases.py
"""

from __future__ import annotations

import math
import time

from prefect_uv.api.flow_run import FlowRun
from prefect_uv.api.json_api import NotFoundError
from prefect_uv.api.patience import RetryPolicy
from prefect_uv.api.run_state import State
from prefect_uv.errors import PrefectUvError

RENEWED_SECONDS = 300.0
RENEWAL_SECONDS = 0.75 * RENEWED_SECONDS
RENEWAL_RETRY_SECONDS = 10.0
RENEWAL_POLICY = RetryPolicy(0, 10.0, 10.0)


class SlotLease:
    """The lease of a run, if its deployment has a limit; to be looked after whenever the run's state is read."""

    def __init__(self, flow_run: FlowRun) -> None:
        self._flow_run = flow_run
        self._due = 0.0

    def keep(self, state: State) -> float:
        """Renew the lease if that is due and not yet up to the engine.

        The engine begins with a Running of its own; one that we found already there is that of an attempt that is gone.
        A lease that cannot be renewed keeps nothing from starting: the server looks for a free slot when the engine
        proposes Running, and cancels the run if there is none.

        Returns:
            The seconds after which to call again; infinity if there is nothing more to do.
        """
        if not state.lease or not (state.type == "PENDING" or state.id == self._flow_run.found.id):
            return math.inf
        if time.monotonic() >= self._due:
            try:
                self._flow_run.renew_lease(state.lease, RENEWED_SECONDS, RENEWAL_POLICY)
                pause = RENEWAL_SECONDS
            except (PrefectUvError, NotFoundError):
                pause = RENEWAL_RETRY_SECONDS
            self._due = time.monotonic() + pause
        return self._due - time.monotonic()
