"""Garbage collection while runs start and end: the limit holds, and environments in use keep their files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.environments.conftest import FULL, Starts, locked_project
from tests.pins import PREFECT
from tests.stack import CacheVolume, PackageIndex
from tests.stack.containers import Containers
from tests.stack.process import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(2400 if FULL else 600)]

ROUNDS = 40 if FULL else 6
SIZE, LIMIT = 10 << 20, 36 << 20
"""What the packages of an environment take, and the limit: their download and two environments, but not three."""
PACKAGES = ("bauble", "gadget", "gewgaw", "trinket", "whatnot")
USE = ("exec", "--", "sh", "-c", "find $VIRTUAL_ENV -type f | sort | md5sum; sleep 600")


@pytest.fixture
def projects(index: PackageIndex, tmp_path: Path) -> list[Path]:
    """Projects that differ by one package each."""
    index.publish("ballast", "1.0", f"#{' ' * SIZE}\n")
    for package in PACKAGES:
        index.publish(package, "1.0", "")
    common = [f"prefect=={PREFECT}", "ballast"]
    return [locked_project(tmp_path / f"etl-{package}", [*common, package], index.settings) for package in PACKAGES]


def test_limit_holds_under_load(containers: Containers, image: str, projects: list[Path], volume: CacheVolume) -> None:
    """Environments come and go: the limit always holds, and the one in use never loses a file."""
    environment = {"PREFECT_UV_CACHE_LIMIT": str(LIMIT), "UV_LINK_MODE": "copy"}
    user = Starts(containers, image, projects[0], volume)
    container = user.start(*USE, environment=environment)
    wait_until(lambda: "  -" in container.logs(stderr=False).decode(), "a run", 240)
    (name,) = user.environments()
    files = f"find /cache/envs/v1/{name} -type f ! -path '*/.uv/*' ! -name '*.pyc' ! -name imports-v1 | sort | md5sum"
    before = volume.run("sh", "-c", files)
    seen: set[str] = set()
    for number in range(ROUNDS):
        other = Starts(containers, image, projects[1 + number % (len(projects) - 1)], volume)
        outcome = other.run(environment=environment)
        assert outcome.exit_code == 0, outcome.output
        used = int(volume.run("du", "-sB1", "/cache").split()[0])
        assert used <= LIMIT * 1.05, volume.run("sh", "-c", "du -sh /cache/* /cache/envs/*")
        seen |= set(other.environments())
        assert name in other.environments()
        assert volume.run("sh", "-c", files) == before
    assert len(seen) == len(PACKAGES)
    assert len(user.environments()) < len(PACKAGES)
    container.reload()
    assert container.status == "running"
    container.kill()


def test_killed_run_holds_no_lease(containers: Containers, image: str, small: Path, volume: CacheVolume) -> None:
    """The kernel drops the lease of a killed run, and its environment can be removed."""
    starts = Starts(containers, image, small, volume)
    container = starts.start("exec", "--", "sleep", "600")
    wait_until(lambda: " yes " in starts.run("cache").stdout, "an environment in use", 240)
    container.kill()
    container.wait()
    outcome = starts.run("cache", "prune", "--all")
    assert outcome.exit_code == 0, outcome.output
    assert starts.environments() == []
