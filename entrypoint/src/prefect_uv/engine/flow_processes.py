"""The processes that a flow has started: they are told to end when the engine is, because the engine waits for them.

Prefect signals the engine's whole process group. That does not reach a session of its own, as the processes of a
cluster have it, and a process that stays nevertheless holds up the engine until both are killed.
Prefect 3.8.8: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/runner/_process_manager.py
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from prefect_uv.processes.process_tree import Process, command_line, descendants

LEAD_SECONDS = 1.0
ENGINE_MARGIN_SECONDS = 5.0
POLL_SECONDS = 0.05


class FlowProcesses:
    """What runs below the engine when it is told to end; what the flow's clean-up starts later is left alone.

    These processes get SIGTERM a little later than the engine, so that the flow does not fail because they end. Those
    that stay get SIGKILL:

    - after five seconds if they were forked from the engine: they share its handler, which interrupts one task of a
      pool's worker, and the worker takes the next one;
    - five seconds before the engine's deadline if they run a program of their own, so that it can clean up, and the
      engine can still end in an orderly way.
    """

    def __init__(self, engine: int) -> None:
        below, command = descendants(engine), command_line(engine)
        self._forks = [process for process in below if command_line(process.pid) == command]
        self._programs = [process for process in below if process not in self._forks]
        self._since = time.monotonic()
        self._sent = 0

    def send_due(self, deadline: float, report: Callable[[str], None]) -> float:
        """Send the signals that are due, and return when the next ones are.

        Args:
            deadline: when the engine will be killed, on the monotonic clock; a later call may name an earlier time.
            report: gets a line if processes had to be killed.
        """
        margin = min(ENGINE_MARGIN_SECONDS, (deadline - self._since) / 2)
        lead = min(LEAD_SECONDS, margin / 2)
        steps = (
            (self._since + lead, signal.SIGTERM, [*self._forks, *self._programs]),
            (self._since + margin, signal.SIGKILL, self._forks),
            (deadline - margin, signal.SIGKILL, self._programs),
        )
        for due, signum, processes in steps[self._sent :]:
            if due > time.monotonic():
                return due
            self._sent += 1
            reached = _send(signum, processes)
            if reached and signum == signal.SIGKILL:
                report(f"killed {reached} process(es) of the flow that did not end after SIGTERM")
        return deadline

    def outlive_engine(self, deadline: float) -> None:
        """Once the engine has ended, give the others a few seconds after SIGTERM; who is left will be killed."""
        left = [*self._forks, *self._programs]
        if not self._sent:
            _send(signal.SIGTERM, left)
        deadline = min(deadline, time.monotonic() + ENGINE_MARGIN_SECONDS)
        while any(process.runs() for process in left) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)


def _send(signum: signal.Signals, processes: list[Process]) -> int:
    """Send a signal to those that still run, SIGKILL also to what they have started since; return how many got it."""
    if signum == signal.SIGKILL:
        running = [process for process in processes if process.runs()]
        processes = list({*running, *descendants(*(process.pid for process in running))})
    return sum(process.send(signum) for process in processes)
