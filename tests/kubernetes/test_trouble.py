"""What a cluster lacks at times: memory, an image, the API; and many pods at the same time."""

from __future__ import annotations

import re
from uuid import UUID

import pytest

from tests.engine.proxy import Proxy
from tests.kubernetes.conftest import PLAIN
from tests.kubernetes.pool import SERVER_PAUSE, Pool
from tests.stack import Repository, git_clone
from tests.stack.containers import bridge_address
from tests.stack.process import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

WAIT_SECONDS = 120
LONG = [pytest.mark.full, pytest.mark.timeout(900)]
MISSING = "registry.example.com/missing:1"


@pytest.fixture(autouse=True, scope="module")
def plain(pool: Pool) -> None:
    """The pool with the template of the page."""
    pool.use()


def test_flow_that_needs_too_much_memory_is_crashed(pool: Pool, flows: Repository) -> None:
    """The run is Crashed at once with the likely reason, and the worker's observer names the pod's."""
    deployment = pool.deploy("oom", "pod_flows.py:eat", [git_clone(flows.url)], memory_limit="256Mi")
    run = pool.finish(pool.api.create_run(deployment, {"megabytes": 400}))
    assert run.state == "Crashed", run.report
    assert "memory" in str(run.flow_run.state and run.flow_run.state.message), run.report
    (status,) = [pod["status"]["containerStatuses"][0]["state"]["terminated"] for pod in run.pods]
    assert status["reason"] == "OOMKilled", run.report
    flow_run = run.flow_run.id
    wait_until(
        lambda: _is_logged(pool, flow_run, "(OOMKilled)"),
        f"the observer's diagnosis\n{run.report}",
        WAIT_SECONDS,
        SERVER_PAUSE,
    )


def test_missing_image_is_named_in_the_flow_runs_log(pool: Pool, flows: Repository) -> None:
    """The worker's observer logs that the image cannot be pulled, and the pod goes with its Job."""
    deployment = pool.deploy("missing", "flows.py:hello", [git_clone(flows.url)], image=MISSING)
    flow_run = pool.api.create_run(deployment)

    wait_until(
        lambda: _is_logged(pool, flow_run, "Image pull failed"), "the observer's diagnosis", WAIT_SECONDS, SERVER_PAUSE
    )
    (pod,) = pool.cluster.pods(flow_run)
    pool.cluster.store.delete("jobs", "default", pod["metadata"]["labels"]["job-name"])
    wait_until(lambda: not pool.cluster.pods(flow_run), "the end of the pod", WAIT_SECONDS)


def test_api_that_is_away_when_the_pod_starts(pool: Pool, flows: Repository) -> None:
    """A pod waits for an API that comes back, for example after a rolling update."""
    with Proxy.before(pool.server, bridge_address()) as proxy:
        proxy.cut()
        deployment = pool.deploy(
            "late", "flows.py:hello", [git_clone(flows.url)], env={"PREFECT_API_URL": proxy.server.url}
        )
        flow_run = pool.api.create_run(deployment)
        wait_until(lambda: proxy.refused >= 2, "two attempts of the pod", WAIT_SECONDS)
        proxy.restore()
        run = pool.finish(flow_run)
    assert run.state == "Completed", run.report
    assert len(run.pods) == 1, run.report


@pytest.mark.parametrize(("count", "package"), [(3, "tabulate"), pytest.param(20, "six", marks=LONG)])
def test_pods_at_the_same_time_share_one_build(pool: Pool, count: int, package: str) -> None:
    """One of the pods on the claim builds, and the others wait for it; the long form has twenty of them."""
    changed = {'"prefect==': f'"{package}", "prefect=='}
    repository = pool.git.create(f"crowd-{count}", PLAIN, replace=changed)
    deployment = pool.deploy(f"crowd-{count}", "flows.py:hello", [git_clone(repository.url)])
    runs = [pool.finish(flow_run) for flow_run in [pool.api.create_run(deployment) for _ in range(count)]]
    assert {run.state for run in runs} == {"Completed"}, "\n".join(run.report for run in runs)
    built = [run for run in runs if re.search(r"sync \d+ \(miss [0-9a-f]{12}\)", "\n".join(run.messages))]
    assert len(built) == 1, "\n".join(run.report for run in runs)


def _is_logged(pool: Pool, flow_run: UUID, text: str) -> bool:
    return any(text in log.message for log in pool.api.logs(flow_run))
