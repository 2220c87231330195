"""Garbage collection removes mirrors of repositories, but never during a pull."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.environments.garbage.disk_usage import measure_usage
from prefect_uv.environments.garbage.garbage_collection import collect_garbage
from prefect_uv.log.mask import Mask
from prefect_uv.log.run_log import RunLog
from prefect_uv.pull import pull
from prefect_uv.pull.git.git_commands import CloneRequest
from prefect_uv.pull.git.repository_mirror import Mirror
from prefect_uv.settings import Settings
from tests.unit.conftest import Collect, MakeSettings, Origin

DAY = 86400.0
ROUNDS = 20 if os.environ.get("PREFECT_UV_TEST_FULL") else 8
CLONE = "prefect.deployments.steps.git_clone"


def mirror(cache_directory: CacheDirectory, name: str) -> Mirror:
    """The mirror of a repository, with one snapshot."""
    made = Mirror.of(
        Settings.from_environ({"PREFECT_UV_CACHE_DIR": str(cache_directory.root)}), CloneRequest(name, Path("x"))
    )
    assert made
    (made.directory / "abc").mkdir(parents=True)
    (made.directory / "abc" / "pack").write_bytes(os.urandom(1 << 20))
    return made


def mark_used(made: Mirror, cache_directory: CacheDirectory, days: float) -> None:
    """Make the last use of a mirror some days old."""
    lease = made.lease()
    assert lease is not None
    os.close(lease)
    then = cache_directory.now() - days * DAY
    os.utime(made.directory / ".inuse", (then, then))


def test_unused_mirrors_are_removed(cache_directory: CacheDirectory, collect: Collect) -> None:
    """A mirror is removed after PREFECT_UV_CACHE_DAYS without a pull."""
    old, new = mirror(cache_directory, "old"), mirror(cache_directory, "new")
    mark_used(old, cache_directory, 6)
    mark_used(new, cache_directory, 4)
    assert collect(PREFECT_UV_CACHE_DAYS="5") >= 1 << 20
    assert list(cache_directory.mirrors.iterdir()) == [new.directory]
    assert list(cache_directory.trash.iterdir()) == []


def test_mirrors_count_towards_the_limit(cache_directory: CacheDirectory, collect: Collect) -> None:
    """PREFECT_UV_CACHE_LIMIT includes mirrors; the least recently used one is removed first."""
    old, new = mirror(cache_directory, "old"), mirror(cache_directory, "new")
    mark_used(old, cache_directory, 2)
    mark_used(new, cache_directory, 1)
    collect(PREFECT_UV_CACHE_LIMIT="1.5M")
    assert list(cache_directory.mirrors.iterdir()) == [new.directory]
    assert measure_usage(cache_directory).total < 1.5 * (1 << 20)


def test_mirror_in_use_is_kept(cache_directory: CacheDirectory, collect: Collect) -> None:
    """A mirror is kept during a pull, however low the limit, and removed afterwards; a later pull makes a new one."""
    made = mirror(cache_directory, "busy")
    lease = made.lease()
    assert lease is not None
    collect(PREFECT_UV_CACHE_LIMIT="1")
    assert made.directory.is_dir()
    os.close(lease)
    collect(PREFECT_UV_CACHE_LIMIT="1")
    assert not made.directory.exists()
    again = made.lease()
    assert again is not None
    os.close(again)


@contextmanager
def collecting(cache_directory: CacheDirectory, log: RunLog) -> Iterator[list[int]]:
    """Remove everything that is unused, again and again, while the block runs; yields the bytes that were freed."""
    freed: list[int] = []
    over = threading.Event()

    def collect_repeatedly() -> None:
        while not over.is_set():
            freed.append(collect_garbage(cache_directory, Settings.from_environ({}), log, everything=True))

    thread = threading.Thread(target=collect_repeatedly, daemon=True)
    thread.start()
    try:
        yield freed
    finally:
        over.set()
        thread.join()


def test_pulls_while_everything_is_collected(
    cache_directory: CacheDirectory,
    origin: Origin,
    make_settings: MakeSettings,
    log: RunLog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every pull has the right tree and logs no warning."""
    warnings: list[str] = []
    monkeypatch.setattr(RunLog, "warning", lambda _, message: warnings.append(message))
    settings = make_settings({"PREFECT_UV_CACHE_DIR": str(cache_directory.root)})
    with collecting(cache_directory, log) as freed:
        for number in range(ROUNDS):
            origin.commit("flow.py", f"number {number}")
            work = cache_directory.root.parent / f"work-{number}"
            work.mkdir()
            monkeypatch.chdir(work)
            pull({"pull_steps": [{CLONE: {"repository": origin.url}}]}, settings, RunLog(Mask()), None)
            assert (work / "flows" / "flow.py").read_text() == f"number {number}"
    assert warnings == []
    assert any(freed)
