"""Cancel and evictions: what the flow run becomes when its pod is ended from outside."""

from __future__ import annotations

import pytest
from prefect.states import Cancelling

from tests.kubernetes.attempts import await_first_attempt, first_attempt_pauses
from tests.kubernetes.pool import Pool
from tests.stack import Repository, git_clone

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]


def test_cancel_ends_the_pod(pool: Pool, flows: Repository) -> None:
    """A cancelled run is Cancelled; its pod ends in its own time, and the run is not crashed or rescheduled."""
    deployment = pool.deploy("cancelled", "pod_flows.py:first_attempt_waits", [git_clone(flows.url)])
    flow_run = pool.api.create_run(deployment)
    await_first_attempt(pool, flow_run)
    pool.api.client.set_flow_run_state(flow_run, Cancelling())
    run = pool.finish(flow_run)
    assert run.state == "Cancelled", run.report
    assert [pod["status"]["phase"] for pod in run.pods] == ["Succeeded"], run.report


@pytest.mark.full  # test_evicted_pod_is_rescheduled
def test_drained_pod_is_rescheduled(pool: Pool, flows: Repository) -> None:
    """If a pod is deleted while the flow runs, as `kubectl drain` does, the run completes in another pod."""
    deployment = pool.deploy("drained", "pod_flows.py:first_attempt_waits", [git_clone(flows.url)])
    flow_run = pool.api.create_run(deployment)
    name = await_first_attempt(pool, flow_run)
    pool.cluster.store.delete("pods", "default", name)
    run = pool.finish(flow_run)
    assert run.state == "Completed", run.report
    assert len(run.pods) == 2, run.report


def test_evicted_pod_is_rescheduled(pool: Pool, flows: Repository) -> None:
    """If the node is short of memory while the flow runs, the run completes in another pod."""
    deployment = pool.deploy("evicted", "pod_flows.py:first_attempt_waits", [git_clone(flows.url)])
    flow_run = pool.api.create_run(deployment)
    name = await_first_attempt(pool, flow_run)
    pool.cluster.kubelet.evict(name)
    run = pool.finish(flow_run)
    assert run.state == "Completed", run.report
    assert [pod["status"]["phase"] for pod in run.pods] == ["Failed", "Succeeded"], run.report


def test_pod_evicted_while_it_prepares_is_rescheduled(pool: Pool, flows: Repository) -> None:
    """An eviction before the flow has begun, here in a pull step, leads to another pod too."""
    steps = [git_clone(flows.url), first_attempt_pauses()]
    deployment = pool.deploy("evicted-early", "flows.py:hello", steps)
    flow_run = pool.api.create_run(deployment)
    name = await_first_attempt(pool, flow_run)
    pool.cluster.kubelet.evict(name)
    run = pool.finish(flow_run)
    assert run.state == "Completed", run.report
    assert [pod["status"]["phase"] for pod in run.pods] == ["Failed", "Succeeded"], run.report
