"""The cases of the engine matrix: what happens to a run, and how it must end on every version of Prefect."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from prefect.states import Cancelled

from tests.engine.host import Run, parent
from tests.pins import PREFECT

SIGTERM_BEHAVIOR = "PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR"
IN_PROCESS = (3, 6, 27)
REPORTS_ALL = (3, 8, 4)
AUTH_STRING = (3, 1, 8)
PROCESS_POOLS = (3, 4, 25)
LATEST = (PREFECT,)
FAMILIES = ("3.4.25", "3.6.29", *LATEST)


def version_of(text: str) -> tuple[int, ...]:
    """A version as numbers, so that 3.8.10 comes after 3.8.9."""
    return tuple(map(int, text.split(".")))


@dataclass(frozen=True)
class Case:
    """One row of the table in docs/reference/supervision.md.

    Attributes:
        title: the name of the row.
        flow: the entrypoint.
        act: what to do to the run once the flow's own code runs.
        early: call `act` as soon as the container has started.
        state: the name of the run's final state.
        cancellation, crashed: how often these hooks must run.
        code: the container's exit code.
        short: the versions on which `make test` runs the case: one of each family, if the family makes a difference;
            `make test-all` runs all cases on all versions.
        outlasts: the engine does not end within the grace period, and is killed.
        levels: how deep flows are nested; engines up to 3.8.3 repeat the signal to themselves for each outer flow.
        since: the first Prefect version that the case applies to.
    """

    title: str
    flow: str
    state: str
    code: int
    cancellation: int = 0
    crashed: int = 0
    act: Callable[[Run], None] = lambda _: None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    early: bool = False
    short: tuple[str, ...] = ()
    outlasts: bool = False
    levels: int = 1
    since: tuple[int, ...] = (3, 0)


def cancel(run: Run) -> None:
    """Press Cancel."""
    run.cancel()


def stop(run: Run) -> None:
    """Stop the container, as `docker stop` does."""
    run.signal(signal.SIGTERM)


def stop_twice(run: Run) -> None:
    """Send two signals at the same moment, as `tini -g` does with one."""
    run.signal(signal.SIGTERM)
    time.sleep(0.005)
    run.signal(signal.SIGTERM)


def kill_engine(run: Run) -> None:
    """Kill the engine."""
    run.kill(run.engine)


def kill_uv(run: Run) -> None:
    """Kill the `uv run` above the engine."""
    run.kill(parent(run.engine))


def cancel_while_paused(run: Run) -> None:
    """Press Cancel once the run is Paused and its engine waits."""
    run.wait_for("the run is paused", lambda: run.state.name == "Paused")
    run.cancel()


def stop_while_suspended(run: Run) -> None:
    """Stop the container once the run is Suspended and its engine still cleans up."""
    run.wait_for("the run is suspended", lambda: run.state.name == "Suspended")
    stop(run)


def kill_while_paused(run: Run) -> None:
    """Kill the engine that waits in a Paused run."""
    run.wait_for("the run is paused", lambda: run.state.name == "Paused")
    kill_engine(run)


def stop_while_paused(run: Run) -> None:
    """Stop the container once the run is Paused and its engine waits."""
    run.wait_for("the run is paused", lambda: run.state.name == "Paused")
    stop(run)


def set_cancelled(run: Run) -> None:
    """Set the run to Cancelled while it runs, as a user may do by hand."""
    run.acted = time.monotonic()
    run.host.api.client.set_flow_run_state(run.flow_run, Cancelled(), force=True)


def set_cancelled_and_stop(run: Run) -> None:
    """Do what a server does 300 seconds after Cancelling, and its worker after that."""
    set_cancelled(run)
    stop(run)


def cancel_while_importing(run: Run) -> None:
    """Press Cancel before the engine connects to the control channel."""
    run.wait_for("the module is being imported", lambda: list(run.host.home.glob("project-*/imported")))
    time.sleep(1)
    run.cancel()


RESCHEDULE = {SIGTERM_BEHAVIOR: "reschedule"}
RELINQUISH = {SIGTERM_BEHAVIOR: "relinquish"}
SHORT_GRACE = {"PREFECT_UV_CANCEL_GRACE_SECONDS": "3"}

CASES = [
    Case("completes", "flows.py:sleeping", "Completed", 0, parameters={"seconds": 0}),
    Case("fails", "flows.py:failing", "Failed", 0),
    Case("cancel, sync flow", "flows.py:sleeping", "Cancelled", 0, cancellation=1, act=cancel, short=FAMILIES),
    Case("cancel, async flow", "flows.py:sleeping_async", "Cancelled", 0, cancellation=1, act=cancel, short=LATEST),
    Case("cancel, in a subflow", "flows.py:outer", "Cancelled", 0, cancellation=1, act=cancel, levels=2),
    Case("cancel, in an async subflow", "flows.py:outer_async", "Cancelled", 0, cancellation=1, act=cancel, levels=2),
    Case("cancel while paused", "flows.py:pausing", "Cancelled", 0, cancellation=1, act=cancel_while_paused),
    Case(
        "cancel, flow swallows the signal",
        "flows.py:swallowing",
        "Cancelled",
        0,
        1,
        0,
        cancel,
        environment=SHORT_GRACE,
        outlasts=True,
    ),
    Case(
        "cancel while the module is imported",
        "importing.py:slow",
        "Cancelled",
        0,
        1,
        0,
        cancel_while_importing,
        early=True,
    ),
    Case("set to Cancelled from outside", "flows.py:sleeping", "Cancelled", 0, 1, 0, set_cancelled),
    Case("docker stop", "flows.py:sleeping", "Crashed", 143, crashed=1, act=stop, short=FAMILIES),
    Case("docker stop, async flow", "flows.py:sleeping_async", "Crashed", 143, crashed=1, act=stop),
    Case("docker stop, in a subflow", "flows.py:outer", "Crashed", 143, crashed=1, act=stop, levels=2),
    Case("docker stop while paused", "flows.py:pausing", "Crashed", 143, crashed=1, act=stop_while_paused),
    Case("kill -9 of the engine while paused", "flows.py:pausing", "Crashed", 137, crashed=1, act=kill_while_paused),
    Case(
        "docker stop once suspended, reschedule",
        "flows.py:suspending_slowly",
        "Suspended",
        0,
        act=stop_while_suspended,
        environment=RESCHEDULE,
    ),
    Case("docker stop, two signals", "flows.py:sleeping", "Crashed", 143, crashed=1, act=stop_twice, short=LATEST),
    Case(
        "docker stop, reschedule",
        "flows.py:sleeping",
        "AwaitingRetry",
        0,
        act=stop,
        environment=RESCHEDULE,
        short=FAMILIES,
    ),
    Case(
        "docker stop, reschedule, in a subflow",
        "flows.py:outer",
        "AwaitingRetry",
        0,
        act=stop,
        environment=RESCHEDULE,
        levels=2,
    ),
    Case(
        "docker stop, reschedule, async flow", "flows.py:sleeping_async", "AwaitingRetry", 0, 0, 0, stop, {}, RESCHEDULE
    ),
    Case("docker stop, relinquish", "flows.py:sleeping", "Running", 1, act=stop, environment=RELINQUISH, short=LATEST),
    Case("docker stop, relinquish, async flow", "flows.py:sleeping_async", "Running", 1, 0, 0, stop, {}, RELINQUISH),
    Case(
        "docker stop of a Cancelled run, reschedule",
        "flows.py:sleeping",
        "Cancelled",
        0,
        1,
        0,
        set_cancelled_and_stop,
        {},
        RESCHEDULE,
    ),
    Case("kill -9 of the engine", "flows.py:sleeping", "Crashed", 137, crashed=1, act=kill_engine, short=LATEST),
    Case("kill -9 of uv", "flows.py:sleeping", "Crashed", 137, crashed=1, act=kill_uv, short=LATEST),
    Case("segmentation fault", "flows.py:segfaulting", "Crashed", 139, crashed=1),
    *(
        Case(f"os._exit({code})", "flows.py:exiting", "Crashed", code or 1, 0, 1, parameters={"code": code})
        for code in range(4)
    ),
    Case("sys.exit(3)", "flows.py:leaving", "Crashed", 3, crashed=1, parameters={"code": 3}),
    Case("module fails to import", "broken.py:none", "Crashed", 1, early=True, short=LATEST),
    Case("suspends itself", "flows.py:suspending", "Suspended", 0),
    Case("retries", "flows.py:retrying", "Completed", 0),
    Case("leaves child processes behind", "flows.py:daemonizing", "Completed", 0, short=LATEST),
    Case(
        "cancel, with child processes",
        "flows.py:daemonizing",
        "Cancelled",
        0,
        1,
        0,
        cancel,
        parameters={"seconds": 120},
    ),
    Case(
        "cancel, process pool",
        "pools.py:submitting",
        "Cancelled",
        0,
        cancellation=1,
        act=cancel,
        short=LATEST,
        since=PROCESS_POOLS,
    ),
    Case(
        "cancel, process pool, async flow",
        "pools.py:submitting_async",
        "Cancelled",
        0,
        cancellation=1,
        act=cancel,
        since=PROCESS_POOLS,
    ),
    Case("docker stop, process pool", "pools.py:submitting", "Crashed", 143, crashed=1, act=stop, since=PROCESS_POOLS),
    Case(
        "docker stop, reschedule, process pool",
        "pools.py:submitting",
        "AwaitingRetry",
        0,
        act=stop,
        environment=RESCHEDULE,
        since=PROCESS_POOLS,
    ),
    Case("cancel, pool of forks", "pools.py:forking", "Cancelled", 0, cancellation=1, act=cancel),
    Case("docker stop, pool of forks", "pools.py:forking", "Crashed", 143, crashed=1, act=stop),
    Case("cancel, program with a session", "pools.py:calling", "Cancelled", 0, cancellation=1, act=cancel),
    Case("docker stop, program with a session", "pools.py:calling", "Crashed", 143, crashed=1, act=stop),
    Case("generator", "flows.py:generating", "Completed", 0, since=IN_PROCESS),
]
