"""`prefect-uv warm` on a pool with many deployments, each run with a real Prefect and a real server."""

from __future__ import annotations

import re
import shutil
import sys

import pytest

from tests.prefect.conftest import PROJECTS
from tests.stack import CacheVolume, Stack, git_clone
from tests.stack.containers import HARDENED
from tests.stack.environment import job_volumes
from tests.stack.stack import POOL

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

PACKAGES = (
    "bottle",
    "boltons",
    "anytree",
    "docopt",
    "more-itertools",
    "pyparsing",
    "sortedcontainers",
    "tabulate",
    "textdistance",
    "toolz",
    "xmltodict",
)
"""Small ones that Prefect does not bring: each makes an environment of its own."""
DEPLOYMENTS = 50
SECONDS = 600


# The promise is held by tests/unit/deployments, where the packages are small.
@pytest.mark.full
def test_large_pool(stack: Stack, cache: CacheVolume, capsys: pytest.CaptureFixture[str]) -> None:
    """Twelve locks, fifty deployments: twelve builds; the second call finds all of them. It prints the seconds."""
    repository = stack.git.create("large-pool", PROJECTS / "plain")
    projects = ["."]
    for package in PACKAGES:
        folder = repository.work / package
        folder.mkdir()
        for name in ("flows.py", "pyproject.toml"):
            shutil.copy(repository.work / name, folder)
        path = folder / "pyproject.toml"
        path.write_text(re.sub(r'"(prefect==[^"]+)"', rf'"\1", "{package}"', path.read_text()))
        repository.lock(project=package)
        projects.append(package)
    repository.commit("Add projects")
    for number in range(DEPLOYMENTS):
        project = projects[number % len(projects)]
        stack.deploy(f"large-{number}", f"{project}/flows.py:hello", [git_clone(repository.url)], tags=["large"])
    for expected in ("12 built, 38 there, 0 failed", "0 built, 50 there, 0 failed"):
        container = stack.containers.start(
            stack.image,
            ["prefect-uv", "warm", "--pool", POOL, "--queue", "default"],
            stack.server.environment,
            job_volumes(cache.name),
            **HARDENED,
        )
        outcome = stack.containers.wait(container, SECONDS)
        with capsys.disabled():
            sys.stdout.write(outcome.stdout)
        assert f"\n50 deployment(s) with 12 environment(s): {expected} (" in outcome.stdout, outcome.output
