"""Builds that are killed or run out of space at random moments: the next start has an undisturbed build's files."""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Iterator

import pytest

from tests.environments.conftest import FULL, Starts
from tests.stack import CacheVolume
from tests.stack.containers import Containers
from tests.stack.process import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(3600 if FULL else 600)]

KILLS = 200 if FULL else 4
FILLINGS = 30 if FULL else 2
SIZE_MB = 900
STARTING_SECONDS = 0.3
OLD = "0" * 64
RANDOM = random.Random(3)  # noqa: S311 (moments, not secrets)


@pytest.fixture
def small_volume(containers: Containers, image: str) -> Iterator[CacheVolume]:
    """A volume small enough to be filled."""
    options = {"type": "tmpfs", "device": "tmpfs", "o": f"size={SIZE_MB}m,mode=0775,uid=1000,gid=0"}
    with CacheVolume.create(containers, image, options) as created:
        yield created


def undisturbed_seconds(starts: Starts) -> float:
    """Start undisturbed; returns the seconds by its own summary, infinity if there was nothing to build."""
    outcome = starts.run()
    assert outcome.exit_code == 0, outcome.output
    built = re.search(r"ready in (\d+) ms.*\(miss ", outcome.stderr)
    return int(built[1]) / 1000 if built else math.inf


def test_killed_builds(starts: Starts) -> None:
    """After each SIGKILL to the container, the next start succeeds, with the files of an undisturbed build."""
    seconds = {True: undisturbed_seconds(starts)}
    expected = starts.files()
    starts.forget()
    seconds[False] = undisturbed_seconds(starts)
    assert starts.files() == expected
    killed = tried = 0
    while killed < KILLS and tried < 2 * KILLS:
        tried += 1
        downloads = tried % 4 == 0
        starts.forget(downloads=downloads)
        container = starts.start()
        time.sleep(RANDOM.uniform(0, STARTING_SECONDS + seconds[downloads]))
        container.reload()
        if container.status == "running":
            container.kill()
        killed += starts.finish(container).exit_code == 137
        seconds[downloads] = min(seconds[downloads], undisturbed_seconds(starts))
        assert starts.files() == expected
        assert starts.volume.leftovers() == []
    assert killed >= KILLS // 2
    print(f"{killed} of {tried} builds killed before their end")  # noqa: T201 (the figure for the docs)


def test_terminated_build(starts: Starts) -> None:
    """On SIGTERM during a build uv ends immediately, the exit code says so, and the next start succeeds."""
    container = starts.start()
    wait_until(lambda: "is the first one here" in container.logs().decode(), "a build", 60)
    container.stop(timeout=20)
    outcome = starts.finish(container)
    assert outcome.exit_code == 143, outcome.output
    assert "SIGTERM arrived before the flow started" in outcome.stderr
    assert starts.run().exit_code == 0
    assert len(starts.environments()) == 1
    assert starts.volume.leftovers() == []


def test_full_disk(containers: Containers, image: str, starts: Starts, small_volume: CacheVolume) -> None:
    """Without space a start succeeds or says so; with space again, it has the files of an undisturbed build."""
    assert starts.run().exit_code == 0
    expected = starts.files()
    small = Starts(containers, image, starts.project, small_volume)
    full = 0
    for _ in range(FILLINGS):
        small_volume.run("sh", "-c", "rm -rf /cache/* && fallocate -l $1 /cache/ballast", "sh", _ballast_size())
        first = small.run()
        assert first.exit_code in {0, 77}, first.output
        full += first.exit_code == 77
        if first.exit_code:
            assert "error[volume-full]: No space is left on" in first.stderr
            assert small.environments() == []
        small_volume.run("rm", "/cache/ballast")
        second = small.run()
        assert second.exit_code == 0, second.output
        assert small.files() == expected
    assert full
    print(f"{full} of {FILLINGS} builds found the disk full")  # noqa: T201


def _ballast_size() -> str:
    """The bytes that leave between almost nothing and what a build needs."""
    return str((SIZE_MB - RANDOM.randrange(1, 260)) << 20)


def test_disk_full_of_old_environments(
    containers: Containers, image: str, starts: Starts, small_volume: CacheVolume
) -> None:
    """On a volume full of unused environments, room is made once, and the build succeeds at the second attempt."""
    small = Starts(containers, image, starts.project, small_volume)
    old = f"/cache/envs/v1/{OLD}"
    script = f"mkdir -p {old} && touch {old}/.inuse && fallocate -l $1 {old}/big"
    small_volume.run("sh", "-c", f"{script} && chown -R 1000:0 /cache/envs", "sh", str(SIZE_MB - 60 << 20))
    outcome = small.run()
    assert outcome.exit_code == 0, outcome.output
    assert "warning: no space is left on /cache: removing what no run uses, then trying once more" in outcome.stderr
    assert OLD not in small.environments()
