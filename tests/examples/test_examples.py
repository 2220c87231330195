"""Every example runs cold, warm and offline: by its own prefect.yaml, a real worker and our image."""

from __future__ import annotations

import pytest

from tests.examples.examples import EXAMPLES, Example, found, key
from tests.stack import Stack
from tests.stack.environment import unreachable_network

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]

OFFLINE = {"PREFECT_UV_OFFLINE": "true"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_example_cold_warm_and_offline(stack: Stack, example: Example) -> None:
    """The first run builds, the second finds; then neither repository nor index are needed. The log is as promised."""
    deployments = example.deploy(stack)
    cold = stack.run_together(deployments)
    assert {found(run) for run in cold} == {"miss"}, "\n".join(run.report() for run in cold)
    warm = stack.run_together(deployments)
    offline = stack.run_together(deployments, {**unreachable_network(stack.containers.gateway), **OFFLINE})
    for again in (warm, offline):
        assert {found(run) for run in again} == {"hit"}, "\n".join(run.report() for run in again)
        assert [key(run) for run in again] == [key(run) for run in cold]
    log = "\n".join(run.messages for run in (*cold, *warm))
    assert [line.pattern for line in example.promised if not line.search(log)] == [], log
