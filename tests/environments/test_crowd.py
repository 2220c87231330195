"""Many containers start together for one project on a cold volume, and some builders are killed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import UUID

import pytest
from docker.models.containers import Container

from tests.environments.conftest import FULL
from tests.stack import CacheVolume, Repository, Run, Stack, git_clone
from tests.stack.process import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(2400 if FULL else 600)]

CROWD = 50 if FULL else 3
DEATHS = 10 if FULL else 1
END_SECONDS = 1500 if FULL else 240
BUILD_LINE = "is the first one here"


@pytest.fixture
def volume(stack: Stack) -> Iterator[CacheVolume]:
    """An empty cache volume."""
    with CacheVolume.create(stack.containers, stack.image) as created:
        yield created


@contextmanager
def crowd(stack: Stack, plain: Repository, volume: CacheVolume) -> Iterator[dict[UUID, Container]]:
    """Containers of CROWD flow runs, started together; yields them by run."""
    deployment = stack.api.deploy("crowd", "flows.py:hello", [git_clone(plain.url)])
    runs = [stack.api.create_run(deployment) for _ in range(CROWD)]
    for run in runs:
        stack.api.submit(run)
    with ThreadPoolExecutor(10) as pool:
        started = pool.map(lambda run: stack.start_directly(run, cache=volume.name), runs)
        yield dict(zip(runs, started, strict=True))


def finish_all(stack: Stack, started: dict[UUID, Container]) -> list[Run]:
    """Wait until all containers have ended."""
    return [stack.finish(run, container, END_SECONDS) for run, container in started.items()]


def summaries(runs: Sequence[Run]) -> list[str]:
    """`hit` or `miss` of each run, sorted."""
    return sorted("".join(re.findall(r"sync \d+ \((\w+) ", run.outcome.stderr)) for run in runs)


def test_crowd_installs_once(stack: Stack, plain: Repository, volume: CacheVolume) -> None:
    """All flows complete, and exactly one run has built the environment."""
    with crowd(stack, plain, volume) as started:
        runs = finish_all(stack, started)
    assert [run.state.name for run in runs] == ["Completed"] * CROWD
    assert summaries(runs) == ["hit"] * (CROWD - 1) + ["miss"]
    assert sum(BUILD_LINE in run.outcome.stderr for run in runs) == 1


def test_builders_are_killed_one_after_another(stack: Stack, plain: Repository, volume: CacheVolume) -> None:
    """When a builder gets SIGKILL another one builds immediately, and all other runs complete."""
    with crowd(stack, plain, volume) as started:
        for _ in range(DEATHS):
            wait_until(lambda: _builders(started) or _is_built(volume), "a builder", 120)
            for builder in _builders(started):
                started.pop(builder).kill()
        runs = finish_all(stack, started)
    killed = CROWD - len(runs)
    assert killed
    print(f"{killed} builders killed, {len(runs)} of {CROWD} runs left to complete")  # noqa: T201
    assert [run.state.name for run in runs] == ["Completed"] * len(runs), [run.report() for run in runs]
    assert len(volume.run("ls", "/cache/envs/v1").split()) == 1
    assert "DAMAGED" not in volume.run("prefect-uv", "cache", "verify")


def _builders(started: dict[UUID, Container]) -> list[UUID]:
    """The runs whose containers have begun to build and are not ready."""
    logs = {run: container.logs().decode() for run, container in started.items()}
    return [run for run, log in logs.items() if BUILD_LINE in log and "ready in" not in log]


def _is_built(volume: CacheVolume) -> bool:
    return volume.run("sh", "-c", "ls /cache/envs/v1 2>/dev/null || :").split() != []
