"""Pull steps with a real server: Prefect's own, custom ones, SSH as any user, requirements files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.prefect.conftest import PROJECTS
from tests.pull.repositories import package
from tests.pull.servers import SshGit, ssh_git
from tests.stack import EXCHANGE, CacheVolume, PackageIndex, Repository, Run, Stack, git_clone
from tests.stack.environment import job_volumes

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]

CLONE = "prefect.deployments.steps.git_clone"
SET = "prefect.deployments.steps.set_working_directory"
OWN_STEP = '''
import os
from pathlib import Path


def mark(text):
    """Write a file next to the flow, log a line, and set a variable."""
    print(f"marking {text}")
    Path("marked.txt").write_text(text)
    os.environ["MARKED"] = text
    return {"marked": text}
'''
PIP_SCRIPT = """
python -c 'print("python works")'
pip install --upgrade pip
python -m pip install --no-cache-dir -r requirements-more.txt
"""
FLOW = '''
import os
import time
from pathlib import Path
from prefect import flow, get_run_logger


@flow
def marked():
    """Log what the pull steps left."""
    get_run_logger().info("%s and %s", Path("marked.txt").read_text(), os.environ["MARKED"])


@flow
def says(folder):
    """Import a package that only the requirements file names, and wait for the file `go`."""
    import trinket

    get_run_logger().info("trinket says %s", trinket.SAYS)
    Path(folder, "ready").touch()
    while not Path(folder, "go").exists():
        time.sleep(0.05)
'''


@pytest.fixture(scope="module")
def repository(stack: Stack) -> Repository:
    """A project with a custom pull step and a requirements file."""
    repository = stack.git.create("pulling", PROJECTS / "plain")
    (repository.work / "own_steps.py").write_text(OWN_STEP)
    (repository.work / "marking.py").write_text(FLOW)
    (repository.work / "requirements-more.txt").write_text("trinket==1.0\n")
    repository.commit("Add a custom step")
    return repository


def run_with_steps(stack: Stack, entrypoint: str, steps: list[Any], environment: dict[str, str] | None = None) -> Run:
    """Run a deployment with these pull steps."""
    flow_run = stack.api.create_run(stack.api.deploy("pulling", entrypoint, steps))
    stack.api.submit(flow_run)
    return stack.finish(flow_run, stack.start_directly(flow_run, environment))


def test_custom_step_after_ours(stack: Stack, repository: Repository) -> None:
    """Prefect performs it in the image's own environment, without a build; its files and variables reach the flow."""
    steps = [
        {CLONE: {"repository": repository.url, "branch": "main", "id": "clone"}},
        {SET: {"directory": "{{ clone.directory }}"}},
        {"own_steps.mark": {"text": "{{ $GREETING }}"}},
    ]
    run = run_with_steps(stack, "marking.py:marked", steps, {"GREETING": "hello"})
    assert run.state.name == "Completed", run.report()
    assert "hello and hello" in run.messages
    assert "marking hello" in run.messages
    assert "prefect-client" not in run.outcome.stderr


@pytest.mark.parametrize(
    ("supervise", "step", "inputs"),
    [
        ("true", "pip_install_requirements", {"requirements_file": "requirements-more.txt"}),
        ("false", "run_shell_script", {"script": PIP_SCRIPT}),
    ],
)
def test_requirements_file(  # noqa: PLR0913, PLR0917 (what the runs differ in)
    stack: Stack,
    repository: Repository,
    index: PackageIndex,
    exchange: Path,
    supervise: str,
    step: str,
    inputs: dict[str, str],
) -> None:
    """Its packages are importable in addition to the locked ones, and held in use while the flow runs.

    As with Prefect's image, a script may install them with the pip of `python`.
    """
    steps: list[Any] = [
        {CLONE: {"repository": repository.url, "branch": "main", "id": "clone"}},
        {f"prefect.deployments.steps.{step}": {"directory": "{{ clone.directory }}", **inputs}},
    ]
    flow_run = stack.api.create_run(stack.api.deploy("pulling", "marking.py:says", steps), {"folder": EXCHANGE})
    stack.api.submit(flow_run)
    environment = {"UV_INDEX": index.url, "PREFECT_UV_SUPERVISE": supervise}
    container = stack.start_directly(flow_run, environment, exchange=exchange)
    stack.wait_for_file(exchange / "ready", container)
    assert "  yes  " in _row_of_requirements(stack)
    (exchange / "go").touch()
    run = stack.finish(flow_run, container)
    assert run.state.name == "Completed", run.report()
    assert "trinket says clink" in run.messages
    assert "  -  " in _row_of_requirements(stack)


def _row_of_requirements(stack: Stack) -> str:
    """The row of `prefect-uv cache` for the environment with the requirements file that was used last."""
    rows = stack.cache.run("prefect-uv", "cache").splitlines()
    return next(row for row in rows if row.endswith(" + trinket"))


def test_mirror_on_the_volume(stack: Stack, repository: Repository) -> None:
    """The second container restores the clone of the first one."""
    runs = [run_with_steps(stack, "flows.py:hello", [git_clone(repository.url)]) for _ in range(2)]
    assert [run.state.name for run in runs] == ["Completed", "Completed"], runs[-1].report()
    assert re.search(rf"flows.py:hello from {re.escape(repository.url)} at \w+ \(restored\)", runs[-1].messages)


@pytest.fixture(scope="module")
def ssh(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshGit]:
    """An SSH server that containers can reach."""
    with ssh_git(tmp_path_factory.mktemp("ssh"), stack.containers.gateway) as running:
        yield running


@pytest.mark.usefixtures("repository")
def test_ssh_without_a_passwd_entry(stack: Stack, cache: CacheVolume, ssh: SshGit, tmp_path: Path) -> None:
    """A mounted key gives git and uv access to repositories for a uid without a passwd entry."""
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
        "PREFECT_UV_EXTRA_PACKAGES": f"dep @ git+{ssh.url(package(tmp_path).path)}",
    }
    container = stack.containers.start(stack.image, [], environment, job_volumes(cache.name), user="12345:0")
    run = stack.finish(flow_run, container)
    assert run.state.name == "Completed", run.report()
