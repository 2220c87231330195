"""Every example runs cold, warm and offline, with its own prefect.yaml, a real worker and our image."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from uuid import UUID

import pytest

from tests.examples.examples import EXAMPLES, Example, environment_key, lookup_result
from tests.stack import Run, Stack
from tests.stack.environment import unreachable_network

pytestmark = [pytest.mark.docker, pytest.mark.timeout(480)]

FULL = bool(os.environ.get("PREFECT_UV_TEST_FULL"))
OFFLINE = {"PREFECT_UV_OFFLINE": "true"}
README_TEST = "test_example_cold_warm_and_offline"


@dataclass(frozen=True)
class Runs:
    """The runs of an example's deployments, each with one run per deployment; without `warm` if it was left out."""

    cold: Sequence[Run]
    offline: Sequence[Run]
    warm: Sequence[Run] = ()


@pytest.fixture(scope="module")
def runs(stack: Stack) -> Mapping[str, Runs]:
    """Run all examples: on an empty volume, on a warm one, and without repositories and index.

    In the short form, only the first one runs on the warm volume too: the runs offline show that an environment is used
    again.
    """
    with ThreadPoolExecutor() as pool:
        deployed = list(pool.map(lambda example: example.deploy(stack, README_TEST)[1], EXAMPLES))
    cold = [*_run(stack, deployed[:1]), *_run(stack, deployed[1:])]  # the first alone: Prefect is downloaded once
    warm = _run(stack, deployed if FULL else deployed[:1])
    with ExitStack() as hidden:
        for example in EXAMPLES:
            hidden.enter_context(stack.git.without(example.name))
        offline = _run(stack, deployed, {**unreachable_network(stack.containers.gateway), **OFFLINE})
    names = [example.name for example in EXAMPLES]
    warm_runs = dict(zip(names, warm, strict=FULL))
    return {
        name: Runs(first, unplugged, warm_runs.get(name, ()))
        for name, first, unplugged in zip(names, cold, offline, strict=True)
    }


def _run(
    stack: Stack, deployed: Sequence[Sequence[UUID]], environment: Mapping[str, str] | None = None
) -> list[list[Run]]:
    """Run the deployments of all examples together, and return the runs by example."""
    flat: Iterator[Run] = iter(stack.run_together([each for example in deployed for each in example], environment))
    return [[next(flat) for _ in example] for example in deployed]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_example_cold_warm_and_offline(runs: Mapping[str, Runs], example: Example) -> None:
    """Only the first run builds, a run can do without repository and index, and the log is as in the README."""
    of_example = runs[example.name]
    for run in (*of_example.cold, *of_example.warm, *of_example.offline):
        run.require_completed()
    for again in filter(None, (of_example.warm, of_example.offline)):
        for run, hit in zip(of_example.cold, again, strict=True):
            assert [lookup_result(run), lookup_result(hit)] == ["miss", "hit"], run.report()
            assert environment_key(run) == environment_key(hit), run.report()
    log = "\n".join(run.messages for run in (*of_example.cold, *of_example.warm))
    assert [line.pattern for line in example.promised if not line.search(log)] == [], log
