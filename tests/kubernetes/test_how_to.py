"""The commands of docs/how-to/kubernetes-work-pool.md, run as they stand there."""

from __future__ import annotations

import pytest

from tests.kubernetes.pool import Pool
from tests.stack import Repository, git_clone

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]


def test_three_commands_of_the_page(pool: Pool, flows: Repository) -> None:
    """The pool that they create runs a flow in a pod, with the cache on the claim."""
    deployment = pool.deploy("plain", "flows.py:hello", [git_clone(flows.url)])
    run = pool.finish(pool.api.create_run(deployment, {"name": "cluster"}))
    assert run.state == "Completed", run.report
    assert "hello cluster x1" in run.messages, run.report
    (pod,) = run.pods
    assert pod["status"]["phase"] == "Succeeded", run.report
    assert list((pool.claim / "envs").iterdir()), run.report
