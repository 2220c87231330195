"""A CronJob warms the claim of a pool, and the runs that come then build nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from images.family import ROOT
from tests.commands import replaced, shell
from tests.kubernetes.cluster import FINAL
from tests.kubernetes.pool import POOL, Pool
from tests.kubernetes.test_templates import SYNC
from tests.pages import run_by
from tests.stack import Repository, git_clone
from tests.stack.process import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

PAGE = "docs/how-to/warm.md"
BUILD_SECONDS = 300
AS_JSON = "--dry-run=client --output=json | kubectl create --filename -"
"""kubectl sends a new Job as protobuf, which the stand-in does not understand."""
MANIFEST = "deploy/warm/cronjob.yaml"


@pytest.mark.usefixtures("api_secret")
@pytest.mark.parametrize("runs", [2, pytest.param(20, marks=pytest.mark.full)])
def test_runs_after_the_cron_job_find_their_environment(
    pool: Pool, flows: Repository, tmp_path: Path, runs: int
) -> None:
    """The page's commands start a Job, whose pod builds the environment; every run that follows is a hit."""
    name = f"warm-{runs}"
    pool.cluster.claim(name)
    pool.use("--claim", name)
    deployment = pool.api.deploy(name, "flows.py:hello", [git_clone(flows.url)], pool=POOL, tags=[name])
    own = {"http://prefect-server:4200/api": pool.server.url, "prefect-uv-cache": name, "prefect-uv-warm": name}
    manifest = tmp_path / "cronjob.yaml"
    manifest.write_text(replaced((ROOT / MANIFEST).read_text(), {**own, "--pool, kubernetes": f"--tag, {name}"}))
    (commands,) = run_by("test_runs_after_the_cron_job_find_their_environment", PAGE)
    words = {MANIFEST: str(manifest), "prefect-uv-warm": name, "first-warming": f"{name} {AS_JSON}"}
    shell(replaced(commands, words), tmp_path, {"KUBECONFIG": str(pool.cluster.kubeconfig)})

    def phases() -> list[str]:
        return [pod["status"]["phase"] for pod in pool.cluster.store.find("pods", selector=f"job-name={name}")]

    wait_until(lambda: bool({*phases()} & {*FINAL}), "the end of the warming pod", BUILD_SECONDS)
    assert phases() == ["Succeeded"]
    flow_runs = [pool.api.create_run(deployment) for _ in range(runs)]
    for run in map(pool.finish, flow_runs):
        assert run.state == "Completed", run.report
        assert SYNC.findall("\n".join(run.pods[0]["logs"].values())) == ["hit"], run.report
