"""What the pages show is done as they say it, against the stack."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from uuid import UUID

import pytest
from prefect_docker.worker import DockerWorker

from examples.demo import demo
from images.family import ROOT, read
from tests.commands import shell
from tests.pages import run_by
from tests.stack import Repository, Run, Stack
from tests.stack.environment import job_volumes

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

README = "README.md"
TUTORIAL = "docs/tutorial/first-flow-run.md"
ADD_PACKAGES = "docs/how-to/add-packages.md"
DOCKER_WORK_POOL = "docs/how-to/docker-work-pool.md"
PROJECT = f"""\
[project]
name = "etl"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["prefect=={read().prefect}"]
"""
FLOWS = """\
from prefect import flow


@flow(log_prints=True)
def etl() -> None:
    print("loaded")
"""


def here(stack: Stack, text: str, repository: str) -> str:
    """A page's text with the repository, the image and the volume of the stack."""
    text = re.sub(r"https://git\.example\.com/\w+/\w+\.git", repository, text)
    text = text.replace('["prefect-uv-cache:/cache"]', json.dumps(job_volumes(stack.cache.name)))
    return text.replace("prefect-uv:py313", stack.image)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project as the README wants it, without a lockfile."""
    folder = tmp_path / "etl"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "flows.py").write_text(FLOWS)
    return folder


@pytest.fixture
def etl(stack: Stack, project: Path) -> Repository:
    """The same as a repository, locked."""
    return stack.git.create(project.parent.name, project)


def test_demo_that_the_readme_names(stack: Stack) -> None:
    """`make demo` runs examples/demo.py, and that does what it says."""
    (command,) = run_by("test_demo_that_the_readme_names", README)
    assert "examples/demo.py" in shell(f"{command.strip()} --dry-run", ROOT)
    assert demo(stack, "demo")


def test_deployment_of_the_readme(stack: Stack, etl: Repository) -> None:
    """Copied into a prefect.yaml it deploys, and the run completes."""
    (text,) = run_by("test_deployment_of_the_readme", README)
    (etl.work / "prefect.yaml").write_text(here(stack, text, etl.url))
    (deployment,) = stack.prefect_deploy(etl.work, ["etl/nightly"])
    run = stack.run_and_wait(deployment)
    run.require_completed()
    assert "loaded" in run.messages


def test_tutorial(stack: Stack, tmp_path: Path) -> None:
    """A beginner who copies all of it sees a miss, and after another package a miss that says why."""
    bare = stack.git.root / "planets.git"
    shell("git init --quiet --bare --initial-branch main planets.git", stack.git.root)
    url = f"http://{stack.git.address}/planets.git"
    texts = (here(stack, text, url) for text in run_by("test_tutorial", TUTORIAL))
    make, flows, publish, deployment, run, change = texts
    work = tmp_path / "planets"
    shell(make.replace("--python 3.13", f"--python {sys.executable}"), tmp_path)
    (work / "flows.py").write_text(flows)
    shell(publish.replace(url, str(bare)), work)
    (work / "prefect.yaml").write_text(deployment)
    first = followed(stack, shell(run, work, stack.server.environment))
    second = followed(stack, shell(change, work, stack.server.environment))
    assert "(miss " in first.messages
    assert "Jupiter" in first.messages
    assert "(miss " in second.messages
    assert "+ cowsay " in second.messages, second.report()


def followed(stack: Stack, output: str) -> Run:
    """The flow run that `prefect deployment run` names."""
    (flow_run,) = set(re.findall(r"UUID: ([0-9a-f-]{36})", output))
    run = stack.follow(UUID(flow_run))
    run.require_completed()
    return run


def test_variable_of_the_page(stack: Stack, tmp_path: Path) -> None:
    """It can be set, and set again."""
    (command,) = run_by("test_variable_of_the_page", ADD_PACKAGES)
    for _ in range(2):
        shell(command, tmp_path, stack.server.environment)


def test_pool_that_the_page_makes(stack: Stack, tmp_path: Path) -> None:
    """A template with the page's defaults makes a pool, and changes one."""
    template = DockerWorker.get_default_base_job_template()
    template["variables"]["properties"]["volumes"]["default"] = ["prefect-uv-cache:/cache"]
    (tmp_path / "docker-pool.json").write_text(json.dumps(template))
    for command in run_by("test_pool_that_the_page_makes", DOCKER_WORK_POOL):
        shell(re.sub(r"(create|update) docker ", r"\1 of-the-page ", command), tmp_path, stack.server.environment)
    pool = stack.api.client.read_work_pool("of-the-page")
    assert pool.base_job_template["variables"]["properties"]["volumes"]["default"] == ["prefect-uv-cache:/cache"]
