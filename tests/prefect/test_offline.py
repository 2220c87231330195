"""Pull in a container that can reach only the API."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from docker.types import Mount

from tests.prefect.conftest import PROJECTS
from tests.pull.conftest import fill
from tests.stack import EXCHANGE, CacheVolume, ClosedNetwork, Run, Stack, git, git_clone
from tests.stack.environment import job_volumes

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]

STEPS = "prefect.deployments.steps"
OWN_STEP = '''
def mark(text):
    """Log the text and return it."""
    print(f"marking {text}")
    return {"marked": text}
'''


def test_clone_offline(stack: Stack, cache: CacheVolume, closed: ClosedNetwork) -> None:
    """Code and environment come from the volume, also if it is read-only; the error names a missing branch."""
    repository = stack.git.create("offline-clone", PROJECTS / "plain")
    first = git(repository.work, "rev-parse", "HEAD")
    deployment = stack.api.deploy("offline-clone", "flows.py:hello", [git_clone(repository.url)])
    other = stack.api.deploy("offline-other", "flows.py:hello", [git_clone(repository.url, "other")])
    offline = {**closed.environment, "PREFECT_UV_OFFLINE": "true"}
    mounts = [Mount("/store", cache.name, type="volume", read_only=True)]

    def run(chosen: UUID, environment: Mapping[str, str], **options: Any) -> Run:
        flow_run = stack.api.create_run(chosen)
        stack.api.submit(flow_run)
        return stack.finish(flow_run, stack.start_directly(flow_run, environment, **options))

    warm = run(deployment, {}, cache=cache.name)
    assert warm.state.name == "Completed", warm.report()
    (repository.work / "README.md").write_text("Nobody pulls this commit.")
    repository.commit("Another commit")
    again = run(deployment, offline, network_mode=closed.mode, cache=cache.name)
    store = {"PREFECT_UV_CACHE_DIR": "/store"}
    unwritten = run(deployment, {**offline, **store}, network_mode=closed.mode, mounts=mounts)
    for ended in (again, unwritten):
        assert ended.state.name == "Completed", ended.report()
        source = rf"{re.escape(repository.url)} at {first[:12]} \(offline: restored, as it was on .* UTC\)"
        assert re.search(source, ended.messages), ended.report()
        assert "(hit " in ended.messages, ended.report()
    missing = run(other, offline, network_mode=closed.mode, cache=cache.name)
    assert missing.outcome.exit_code == 71, missing.report()
    assert (
        f"error[offline-code-missing]: The cache volume has no branch 'other' of {repository.url},"
        " and PREFECT_UV_OFFLINE is set."
    ) in missing.messages, missing.report()


def test_delegated_steps_offline(stack: Stack, cache: CacheVolume, closed: ClosedNetwork, exchange: Path) -> None:
    """A storage block and a custom step run in the image's own environment, without network and without a build."""
    repository = stack.git.create("offline", PROJECTS / "plain")
    (repository.work / "own_steps.py").write_text(OWN_STEP)
    shutil.copytree(repository.work, exchange / "code", ignore=shutil.ignore_patterns(".git"))
    fill(stack.server, {("local-file-system", "offline"): {"basepath": f"{EXCHANGE}/code"}}, {})
    steps = [
        {
            f"{STEPS}.pull_with_block": {
                "block_document_name": "offline",
                "block_type_slug": "local-file-system",
                "id": "code",
            }
        },
        {f"{STEPS}.set_working_directory": {"directory": "{{ code.directory }}"}},
        {"own_steps.mark": {"text": "what was pulled"}},
    ]
    deployment = stack.api.deploy("offline", "flows.py:hello", steps)
    for phase, environment, options in (("miss", {}, {}), ("hit", closed.environment, {"network_mode": closed.mode})):
        flow_run = stack.api.create_run(deployment)
        stack.api.submit(flow_run)
        container = stack.start_directly(flow_run, environment, cache=cache.name, exchange=exchange, **options)
        run = stack.finish(flow_run, container)
        assert run.state.name == "Completed", run.report()
        assert f"({phase} " in run.messages, run.report()
        assert "marking what was pulled" in run.messages, run.report()
    download = ["uv", "pip", "install", "--dry-run", "--python", "/opt/prefect-client/bin/python", "cowsay"]
    outside = stack.containers.start(
        stack.image, download, {"UV_HTTP_RETRIES": "0"}, job_volumes(cache.name), network_mode=closed.mode
    )
    assert stack.containers.wait(outside, 60).exit_code == 2, "the network is not closed"
    assert len(cache.run("ls", "/cache/envs/v1").split()) == 1, "the step built an environment"
