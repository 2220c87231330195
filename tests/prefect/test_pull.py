"""Pull steps in our container, with a real server: those of Prefect itself, SSH as any user, requirements files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.prefect.conftest import PROJECTS
from tests.pull.servers import SshGit, ssh_git
from tests.stack import CacheVolume, Repository, Stack, git_clone
from tests.stack.environment import job_volumes
from tests.stack.stack import Run

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]

CLONE = "prefect.deployments.steps.git_clone"
SET = "prefect.deployments.steps.set_working_directory"
OWN_STEP = '''
import os
from pathlib import Path


def mark(text):
    """Leave a file beside the flow, a line in the log, and a variable."""
    print(f"marking {text}")
    Path("marked.txt").write_text(text)
    os.environ["MARKED"] = text
    return {"marked": text}
'''
FLOW = '''
import os
from pathlib import Path
from prefect import flow, get_run_logger


@flow
def marked():
    """Tell what the pull steps left."""
    get_run_logger().info("%s and %s", Path("marked.txt").read_text(), os.environ["MARKED"])


@flow
def says():
    """Import what only the requirements file brings."""
    import trinket

    get_run_logger().info("trinket says %s", trinket.SAYS)
'''


@pytest.fixture(scope="module")
def repository(stack: Stack) -> Repository:
    """A project with a pull step of its own, and a requirements file."""
    repository = stack.git.create("pulling", PROJECTS / "plain")
    (repository.work / "own_steps.py").write_text(OWN_STEP)
    (repository.work / "marking.py").write_text(FLOW)
    (repository.work / "requirements-more.txt").write_text("trinket==1.0\n")
    repository.commit("A step of our own")
    return repository


def performed(stack: Stack, entrypoint: str, steps: list[Any], environment: dict[str, str] | None = None) -> Run:
    """The run of a deployment with these steps."""
    flow_run = stack.api.create_run(stack.api.deploy("pulling", entrypoint, steps))
    stack.api.submit(flow_run)
    return stack.finish(flow_run, stack.start_directly(flow_run, environment))


def test_own_step_between_ours(stack: Stack, repository: Repository) -> None:
    """Prefect performs it on the image's own environment: nothing is built, and what it leaves reaches the flow."""
    steps = [
        {CLONE: {"repository": repository.url, "branch": "main", "id": "clone"}},
        {SET: {"directory": "{{ clone.directory }}"}},
        {"own_steps.mark": {"text": "{{ $GREETING }}"}},
    ]
    run = performed(stack, "marking.py:marked", steps, {"GREETING": "hello"})
    assert run.state.name == "Completed", run.report()
    assert "hello and hello" in run.messages
    assert "marking hello" in run.messages
    assert "prefect-client" not in run.outcome.stderr


def test_requirements_file(stack: Stack, repository: Repository, index: Any) -> None:
    """Its packages are importable beside the locked ones."""
    steps = [
        {CLONE: {"repository": repository.url, "branch": "main", "id": "clone"}},
        {
            "prefect.deployments.steps.pip_install_requirements": {
                "directory": "{{ clone.directory }}",
                "requirements_file": "requirements-more.txt",
            }
        },
    ]
    run = performed(stack, "marking.py:says", steps, {"UV_INDEX": index.url})
    assert run.state.name == "Completed", run.report()
    assert "trinket says clink" in run.messages


def test_mirror_of_the_volume(stack: Stack, repository: Repository, cache: CacheVolume) -> None:
    """The second container restores what the first one cloned."""
    deployment = stack.api.deploy("mirrored", "flows.py:hello", [git_clone(repository.url)])
    for how in ("cloned", "restored"):
        flow_run = stack.api.create_run(deployment)
        stack.api.submit(flow_run)
        run = stack.finish(flow_run, stack.start_directly(flow_run, cache=cache.name))
        assert run.state.name == "Completed", run.report()
        assert f"{how} {repository.url} at" in run.messages


@pytest.fixture(scope="module")
def ssh(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshGit]:
    """An SSH server that containers can reach."""
    with ssh_git(tmp_path_factory.mktemp("ssh"), stack.containers.gateway) as running:
        yield running


@pytest.mark.parametrize("user", ["1000:0", "12345:0"])
@pytest.mark.usefixtures("repository")
def test_ssh(stack: Stack, cache: CacheVolume, ssh: SshGit, user: str) -> None:
    """A mounted key opens the repository, also for a uid that has no passwd entry."""
    for name, path in (("key", ssh.key), ("known_hosts", ssh.known_hosts)):
        script = 'mkdir -p /cache/ssh && printf "%s" "$1" > /cache/ssh/$0 && chmod 440 /cache/ssh/$0'
        cache.run("sh", "-c", script, name, path.read_text())
    bare = Path(stack.git.root) / "pulling.git"
    flow_run: UUID = stack.api.create_run(
        stack.api.deploy("ssh", "flows.py:hello", [{CLONE: {"repository": ssh.url(bare)}}])
    )
    stack.api.submit(flow_run)
    environment = {
        **stack.server.environment,
        "PREFECT__FLOW_RUN_ID": str(flow_run),
        "PREFECT_UV_SSH_KEY": "/cache/ssh/key",
        "PREFECT_UV_SSH_KNOWN_HOSTS": "/cache/ssh/known_hosts",
    }
    container = stack.containers.start(stack.image, [], environment, job_volumes(cache.name), user=user)
    run = stack.finish(flow_run, container)
    assert run.state.name == "Completed", run.report()
