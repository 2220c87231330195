"""Each variant of the template, in a cluster that enforces what its platform does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.kubernetes.attempts import await_first_attempt, first_attempt_pauses
from tests.kubernetes.cluster.admission import OPENSHIFT, OPENSHIFT_USER, RESTRICTED
from tests.kubernetes.pool import Pool
from tests.stack import Repository, git_clone

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

RUN_SHELL_SCRIPT = "prefect.deployments.steps.run_shell_script"
SYNC = re.compile(r"sync \d+ \((hit|miss) [0-9a-f]{12}\)")


@pytest.fixture(scope="module")
def init(pool: Pool, api_secret: str) -> Pool:
    """The pool with the init container, on a claim of its own."""
    pool.cluster.claim("init")
    pool.use("--claim", "init", "--init-container", "--api-url", pool.server.url, "--api-key-secret", api_secret)
    return pool


def test_init_container_builds_and_the_main_container_finds_it(init: Pool, flows: Repository) -> None:
    """The environment is built in the init container, with the login from the secret; it alone pulls the code."""
    count = {RUN_SHELL_SCRIPT: {"script": "sh -c 'printf x >> /cache/performed'"}}
    deployment = init.deploy("init", "flows.py:hello", [git_clone(flows.url), count])
    run = init.finish(init.api.create_run(deployment))
    assert run.state == "Completed", run.report
    (logs,) = [pod["logs"] for pod in run.pods]
    assert SYNC.findall(logs["sync"]) == ["miss"], run.report
    assert SYNC.findall(logs["prefect-job"]) == ["hit"], run.report
    assert (init.cluster.claim("init") / "performed").read_text() == "x", run.report


def test_pod_evicted_in_its_init_container_is_rescheduled(init: Pool, flows: Repository) -> None:
    """An eviction while the init container works leads to another pod, as one of the main container does."""
    steps = [git_clone(flows.url), first_attempt_pauses()]
    flow_run = init.api.create_run(init.deploy("init-evicted", "flows.py:hello", steps))
    init.cluster.kubelet.evict(await_first_attempt(init, flow_run, "init"))
    run = init.finish(flow_run)
    assert run.state == "Completed", run.report
    assert [pod["status"]["phase"] for pod in run.pods] == ["Failed", "Succeeded"], run.report


def test_restricted_template_runs_under_the_standard(pool: Pool, flows: Repository) -> None:
    """The restricted standard admits the pod, whose root is read-only, with a service account that has no token."""
    pool.cluster.claim("prefect-uv-cache", RESTRICTED)
    account = {"metadata": {"name": "prefect-uv-runs"}, "automountServiceAccountToken": False}
    pool.cluster.store.create("serviceaccounts", RESTRICTED, account)
    pool.use("--restricted", "--service-account", "prefect-uv-runs")
    deployment = pool.deploy("restricted", "pod_flows.py:look_around", [git_clone(flows.url)], namespace=RESTRICTED)
    run = pool.finish(pool.api.create_run(deployment))
    assert run.state == "Completed", run.report
    seen = next(message for message in run.messages if message.startswith("uid "))
    assert seen == "uid 1000, groups [0, 1000], token False, writable /cache /home/prefect /tmp", run.report


def test_openshift_template_runs_as_any_user(pool: Pool, flows: Repository) -> None:
    """The pod runs as the user id of its namespace, and the cache belongs to the group of the namespace."""
    claim = pool.cluster.claim("prefect-uv-cache", OPENSHIFT)
    pool.use("--openshift")
    deployment = pool.deploy("openshift", "pod_flows.py:look_around", [git_clone(flows.url)], namespace=OPENSHIFT)
    run = pool.finish(pool.api.create_run(deployment))
    assert run.state == "Completed", run.report
    seen = next(message for message in run.messages if message.startswith("uid "))
    assert seen.startswith(f"uid {OPENSHIFT_USER}, groups [0, {OPENSHIFT_USER}], token True, "), run.report
    assert _owners(claim / "envs") == {(OPENSHIFT_USER, OPENSHIFT_USER)}, run.report


def _owners(folder: Path) -> set[tuple[int, int]]:
    return {(status.st_uid, status.st_gid) for status in (path.stat() for path in folder.iterdir())}
