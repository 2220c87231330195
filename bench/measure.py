"""One run of one contestant, by one clock: Docker's and Prefect's times are of the same machine."""

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
from bench.arena import Arena, Contestant
from tests.stack.process import wait_until

RUN_SECONDS = 600
CROWD_SECONDS = 240
SUMMARY = re.compile(r"ready in (\d+) ms: (.+)")
PHASE = re.compile(r"(?:^|, )(\w+) (\d+)")
NANOSECONDS = re.compile(r"\.(\d{6})\d*Z")


@dataclass(frozen=True)
class Figures:
    """Seconds since the container's start; CPU in seconds; `phases` as our own summary line has them, in seconds.

    `taken` is the part of the processors' time that other machines had while there was work here.
    """

    running: float
    completed: float
    exited: float
    cpu: float
    taken: float
    phases: Mapping[str, float] = field(default_factory=dict)


def measure(
    arena: Arena, contestant: Contestant, deployment: UUID, environment: Mapping[str, str] | None = None
) -> Figures:
    """Run a flow that does nothing.

    Raises:
        RuntimeError: it did not complete; with all that the container wrote.
    """
    flow_run = new_run(arena, deployment)
    with meters.taken() as others:
        container = contestant.start(arena, flow_run, environment or {})
        with meters.cpu(container) as used:
            outcome = arena.containers.wait(container, RUN_SECONDS)
    states = {state.name: state.timestamp for state in arena.api.client.read_flow_run_states(flow_run)}
    if "Completed" not in states:
        raise RuntimeError(f"{contestant.name} did not complete:\n{outcome.output}")
    began, ended = lifetime(container)
    container.remove()
    return Figures(
        running=(states["Running"] - began).total_seconds(),
        completed=(states["Completed"] - began).total_seconds(),
        exited=(ended - began).total_seconds(),
        cpu=used.cpu,
        taken=others.share,
        phases=_phases(outcome.output),
    )


def memory(arena: Arena, contestant: Contestant, deployment: UUID, seconds: float = 6) -> float:
    """The most megabytes of PSS beside the engine, while a flow starts and sleeps."""
    container = contestant.start(arena, new_run(arena, deployment, seconds), {})
    with meters.memory(container) as used:
        arena.containers.wait(container, RUN_SECONDS)
    container.remove()
    return used.beside / 1e6


def cancel(arena: Arena, contestant: Contestant, deployment: UUID, settle: float = 6) -> tuple[float, float]:
    """Seconds from Cancelling to Cancelled, and to the container's end, for a flow that has slept for a while."""
    flow_run = new_run(arena, deployment, RUN_SECONDS)
    container = contestant.start(arena, flow_run, {})
    read = arena.api.client.read_flow_run
    wait_until(lambda: (state := read(flow_run).state) and state.name == "Running", "Running", RUN_SECONDS)
    time.sleep(settle)
    arena.api.client.set_flow_run_state(flow_run, Cancelling())
    arena.containers.wait(container, RUN_SECONDS)
    states = {state.name: state.timestamp for state in arena.api.client.read_flow_run_states(flow_run)}
    _, ended = lifetime(container)
    container.remove()
    begun = states["Cancelling"]
    return (states["Cancelled"] - begun).total_seconds(), (ended - begun).total_seconds()


def crowd(arena: Arena, contestant: Contestant, deployment: UUID, count: int) -> dict[str, float]:
    """Start many at once: seconds until the last has ended, how many ran to their end, and how many built.

    What has not ended in time is removed: when open websockets are all that Prefect's server on SQLite handles at
    once, it answers nobody any more (see `prefect_uv.api.cancellation_watch`).
    """
    runs = [new_run(arena, deployment) for _ in range(count)]
    containers = [contestant.start(arena, flow_run, {}) for flow_run in runs]
    began, until = lifetime(containers[0])[0], time.monotonic() + CROWD_SECONDS
    while any(running(container) for container in containers) and time.monotonic() < until:
        time.sleep(0.2)
    stopped = datetime.now(UTC)
    outputs = [container.logs().decode() for container in containers]
    ends = [lifetime(container)[1] for container in containers if not running(container)]
    for container in containers:
        container.remove(force=True)
    last = max(ends) if len(ends) == count else stopped
    completed = sum("Finished in state Completed()" in output for output in outputs)
    builds = sum("(miss " in output for output in outputs)
    return {"seconds": (last - began).total_seconds(), "completed": completed, "builds": builds}


def running(container: Container) -> bool:
    """Whether it has not ended."""
    container.reload()
    return bool(container.status == "running")


def new_run(arena: Arena, deployment: UUID, seconds: float = 0) -> UUID:
    """A flow run that is Pending, as a worker leaves it."""
    flow_run = arena.api.create_run(deployment, {"seconds": seconds})
    arena.api.submit(flow_run)
    return flow_run


def lifetime(container: Container) -> tuple[datetime, datetime]:
    """When the container's process started and ended."""
    container.reload()
    state: Mapping[str, Any] = container.attrs["State"]
    began, ended = (datetime.fromisoformat(_microseconds(state[name])) for name in ("StartedAt", "FinishedAt"))
    return began, ended


def _microseconds(text: str) -> str:
    return NANOSECONDS.sub(r".\1+00:00", text)


def _phases(output: str) -> dict[str, float]:
    summary = SUMMARY.search(output)
    return {name: int(value) / 1000 for name, value in PHASE.findall(summary[2])} if summary else {}
