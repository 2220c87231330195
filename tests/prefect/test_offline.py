"""Steps that Prefect performs, in a container that has no way out but to the API."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.prefect.conftest import PROJECTS
from tests.pull.conftest import fill
from tests.stack import EXCHANGE, CacheVolume, ClosedNetwork, Stack
from tests.stack.environment import job_volumes

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]

STEPS = "prefect.deployments.steps"
OWN_STEP = '''
def mark(text):
    """Leave a line in the log, and give it on."""
    print(f"marking {text}")
    return {"marked": text}
'''


def test_delegated_steps_offline(stack: Stack, cache: CacheVolume, closed: ClosedNetwork, exchange: Path) -> None:
    """A storage block and an own step run on the image's environment: nothing is built, nothing is asked for."""
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
    question = ["uv", "pip", "install", "--dry-run", "--python", "/opt/prefect-client/bin/python", "cowsay"]
    outside = stack.containers.start(
        stack.image, question, {"UV_HTTP_RETRIES": "0"}, job_volumes(cache.name), network_mode=closed.mode
    )
    assert stack.containers.wait(outside, 60).exit_code == 2, "the network has a way out"
    assert len(cache.run("ls", "/cache/envs/v1").split()) == 1, "the step had an environment built"
