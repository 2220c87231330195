"""Every example runs cold, warm and offline: by its own prefect.yaml, a real worker and our image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from uuid import UUID

import pytest

from tests.examples.examples import EXAMPLES, Example, found, key
from tests.stack import Run, Stack
from tests.stack.environment import unreachable_network

pytestmark = [pytest.mark.docker, pytest.mark.timeout(480)]

OFFLINE = {"PREFECT_UV_OFFLINE": "true"}
README_TEST = "test_example_cold_warm_and_offline"


@dataclass(frozen=True)
class Runs:
    """The runs of an example's deployments."""

    cold: Sequence[Run]
    warm: Sequence[Run]
    offline: Sequence[Run]


@pytest.fixture(scope="module")
def runs(stack: Stack) -> Mapping[str, Runs]:
    """All examples together, three times: nothing is there; all is there; neither repositories nor an index are."""
    with ThreadPoolExecutor() as pool:
        deployed = list(pool.map(lambda example: example.deploy(stack, README_TEST)[1], EXAMPLES))
    cold = [*_run(stack, deployed[:1]), *_run(stack, deployed[1:])]  # so that Prefect is downloaded once
    warm = _run(stack, deployed)
    with ExitStack() as absent:
        for example in EXAMPLES:
            absent.enter_context(stack.git.without(example.name))
        offline = _run(stack, deployed, {**unreachable_network(stack.containers.gateway), **OFFLINE})
    return {example.name: Runs(*each) for example, *each in zip(EXAMPLES, cold, warm, offline, strict=True)}


def _run(
    stack: Stack, deployed: Sequence[Sequence[UUID]], environment: Mapping[str, str] | None = None
) -> list[list[Run]]:
    every: Iterator[Run] = iter(stack.run_together([one for some in deployed for one in some], environment))
    return [[next(every) for _ in some] for some in deployed]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_example_cold_warm_and_offline(runs: Mapping[str, Runs], example: Example) -> None:
    """The first run builds, the second finds; then neither repository nor index are needed. The log is as promised."""
    of_example = runs[example.name]
    for run in (*of_example.cold, *of_example.warm, *of_example.offline):
        run.require_completed()
    for run, warm, offline in zip(of_example.cold, of_example.warm, of_example.offline, strict=True):
        assert [found(run), found(warm), found(offline)] == ["miss", "hit", "hit"], run.report()
        assert key(run) == key(warm) == key(offline), run.report()
    log = "\n".join(run.messages for run in (*of_example.cold, *of_example.warm))
    assert [line.pattern for line in example.promised if not line.search(log)] == [], log
