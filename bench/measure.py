"""Measure one run of a variant. Docker's and Prefect's times come from the clock of the same machine."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from docker.models.containers import Container
from prefect.states import Cancelling

from bench import meters
from bench.testbed import Testbed, Variant
from tests.stack.process import wait_until

RUN_SECONDS = 600
CROWD_SECONDS = 240
SUMMARY = re.compile(r"ready in (\d+) ms: (.+)")
PHASE = re.compile(r"(?:^|, )(\w+) (\d+)")
NANOSECONDS = re.compile(r"\.(\d{6})\d*Z")


@dataclass(frozen=True)
class Measurement:
    """What one run took.

    Attributes:
        running: seconds from the container's start until the flow run was Running.
        completed: seconds until it was Completed.
        exited: seconds until the container had exited.
        cpu: seconds of CPU time that the container used.
        steal: fraction of the processor time that other virtual machines took.
        phases: seconds of each phase in our summary line; empty for Prefect's own path and the floor.
    """

    running: float
    completed: float
    exited: float
    cpu: float
    steal: float
    phases: Mapping[str, float] = field(default_factory=dict)


def measure_start(
    testbed: Testbed, variant: Variant, deployment: UUID, environ: Mapping[str, str] | None = None
) -> Measurement:
    """Run a flow that does nothing.

    Raises:
        RuntimeError: it did not complete; with everything that the container printed.
    """
    flow_run = create_pending_run(testbed, deployment)
    with meters.steal() as steal:
        container = variant.start(testbed, flow_run, environ or {})
        with meters.cpu(container) as usage:
            outcome = testbed.containers.wait(container, RUN_SECONDS)
    states = {state.name: state.timestamp for state in testbed.api.client.read_flow_run_states(flow_run)}
    if "Completed" not in states:
        raise RuntimeError(f"{variant.name} did not complete:\n{outcome.output}")
    started, exited = lifetime(container)
    container.remove()
    return Measurement(
        running=(states["Running"] - started).total_seconds(),
        completed=(states["Completed"] - started).total_seconds(),
        exited=(exited - started).total_seconds(),
        cpu=usage.cpu,
        steal=steal.fraction,
        phases=_phases(outcome.output),
    )


def measure_memory(testbed: Testbed, variant: Variant, deployment: UUID, sleep: float = 6) -> float:
    """The peak of the memory in addition to the engine's, in megabytes of PSS, while a flow starts and sleeps."""
    container = variant.start(testbed, create_pending_run(testbed, deployment, sleep), {})
    with meters.memory(container) as usage:
        testbed.containers.wait(container, RUN_SECONDS)
    container.remove()
    return usage.memory / 1e6


def measure_cancel(testbed: Testbed, variant: Variant, deployment: UUID, sleep: float = 6) -> tuple[float, float]:
    """Seconds from Cancelling to Cancelled, and to the container's exit, for a flow that has run for a while."""
    flow_run = create_pending_run(testbed, deployment, RUN_SECONDS)
    container = variant.start(testbed, flow_run, {})
    read = testbed.api.client.read_flow_run
    wait_until(lambda: (state := read(flow_run).state) and state.name == "Running", "Running", RUN_SECONDS)
    time.sleep(sleep)
    testbed.api.client.set_flow_run_state(flow_run, Cancelling())
    testbed.containers.wait(container, RUN_SECONDS)
    states = {state.name: state.timestamp for state in testbed.api.client.read_flow_run_states(flow_run)}
    _, exited = lifetime(container)
    container.remove()
    cancelling = states["Cancelling"]
    return (states["Cancelled"] - cancelling).total_seconds(), (exited - cancelling).total_seconds()


def measure_crowd(testbed: Testbed, variant: Variant, deployment: UUID, count: int) -> dict[str, float]:
    """Start many containers at once.

    Those that have not exited after CROWD_SECONDS are removed: Prefect's server on SQLite counts open websockets as
    requests, and answers no more once they are all that it handles at once (see `prefect_uv.api.cancellation_watch`).

    Returns:
        The seconds until the last container exited, and how many flow runs completed and environments were built.
    """
    flow_runs = [create_pending_run(testbed, deployment) for _ in range(count)]
    containers = [variant.start(testbed, flow_run, {}) for flow_run in flow_runs]
    started, deadline = lifetime(containers[0])[0], time.monotonic() + CROWD_SECONDS
    while any(is_running(container) for container in containers) and time.monotonic() < deadline:
        time.sleep(0.2)
    stopped = datetime.now(UTC)
    outputs = [container.logs().decode() for container in containers]
    exits = [lifetime(container)[1] for container in containers if not is_running(container)]
    for container in containers:
        container.remove(force=True)
    last_exit = max(exits) if len(exits) == count else stopped
    completed = sum("Finished in state Completed()" in output for output in outputs)
    builds = sum("(miss " in output for output in outputs)
    return {"seconds": (last_exit - started).total_seconds(), "completed": completed, "builds": builds}


def is_running(container: Container) -> bool:
    """Whether the container has not exited yet."""
    container.reload()
    return bool(container.status == "running")


def create_pending_run(testbed: Testbed, deployment: UUID, sleep: float = 0) -> UUID:
    """Create a flow run that sleeps for some seconds, in the state Pending, in which a worker leaves it."""
    flow_run = testbed.api.create_run(deployment, {"seconds": sleep})
    testbed.api.submit(flow_run)
    return flow_run


def lifetime(container: Container) -> tuple[datetime, datetime]:
    """When the container's process started and when it exited."""
    container.reload()
    state: Mapping[str, Any] = container.attrs["State"]
    started, exited = (datetime.fromisoformat(_microseconds(state[name])) for name in ("StartedAt", "FinishedAt"))
    return started, exited


def _microseconds(text: str) -> str:
    """Docker's time, with its nanoseconds cut to the microseconds that Python reads."""
    return NANOSECONDS.sub(r".\1+00:00", text)


def _phases(output: str) -> dict[str, float]:
    summary = SUMMARY.search(output)
    return {name: int(value) / 1000 for name, value in PHASE.findall(summary[2])} if summary else {}
