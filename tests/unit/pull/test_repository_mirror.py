"""Mirrors of repositories go with the store's garbage, and never under a pull."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
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
from tests.unit.conftest import MakeSettings, Origin

DAY = 86400.0
ROUNDS = 20
CLONE = "prefect.deployments.steps.git_clone"


@pytest.fixture
def cache_directory(tmp_path: Path) -> CacheDirectory:
    """An area of its own."""
    made = CacheDirectory(tmp_path / "cache", tmp_path / "cache" / "uv-0.13")
    made.prepare()
    return made


@pytest.fixture
def clean(cache_directory: CacheDirectory, log: RunLog) -> Callable[..., int]:
    """Collects garbage there, with variables."""
    return lambda **variables: collect_garbage(cache_directory, Settings.from_environ(variables), log)


def mirror(cache_directory: CacheDirectory, name: str) -> Mirror:
    """The mirror of a repository, with one snapshot."""
    made = Mirror.of(
        Settings.from_environ({"PREFECT_UV_CACHE_DIR": str(cache_directory.root)}), CloneRequest(name, Path("x"))
    )
    assert made
    (made.directory / "abc").mkdir(parents=True)
    (made.directory / "abc" / "pack").write_bytes(os.urandom(1 << 20))
    return made


def used(made: Mirror, cache_directory: CacheDirectory, days: float) -> None:
    """It was last used some days ago."""
    held = made.lease()
    assert held is not None
    os.close(held)
    then = cache_directory.now() - days * DAY
    os.utime(made.directory / ".inuse", (then, then))


def test_unused_mirrors_go(cache_directory: CacheDirectory, clean: Callable[..., int]) -> None:
    """By the days of PREFECT_UV_CACHE_DAYS since the last pull."""
    old, new = mirror(cache_directory, "old"), mirror(cache_directory, "new")
    used(old, cache_directory, 6)
    used(new, cache_directory, 4)
    assert clean(PREFECT_UV_CACHE_DAYS="5") >= 1 << 20
    assert list(cache_directory.mirrors.iterdir()) == [new.directory]
    assert list(cache_directory.trash.iterdir()) == []


def test_mirrors_count_for_the_limit(cache_directory: CacheDirectory, clean: Callable[..., int]) -> None:
    """The least recently used one goes first."""
    old, new = mirror(cache_directory, "old"), mirror(cache_directory, "new")
    used(old, cache_directory, 2)
    used(new, cache_directory, 1)
    clean(PREFECT_UV_CACHE_LIMIT="1.5M")
    assert list(cache_directory.mirrors.iterdir()) == [new.directory]
    assert measure_usage(cache_directory).total < 1.5 * (1 << 20)


def test_mirror_in_use_stays(cache_directory: CacheDirectory, clean: Callable[..., int]) -> None:
    """However little may stay; once the pull is over it goes, and a later pull makes it anew."""
    made = mirror(cache_directory, "busy")
    held = made.lease()
    assert held is not None
    clean(PREFECT_UV_CACHE_LIMIT="1")
    assert made.directory.is_dir()
    os.close(held)
    clean(PREFECT_UV_CACHE_LIMIT="1")
    assert not made.directory.exists()
    again = made.lease()
    assert again is not None
    os.close(again)


@contextmanager
def collecting(cache_directory: CacheDirectory, log: RunLog) -> Iterator[list[int]]:
    """Everything that nobody uses is removed, again and again."""
    freed: list[int] = []
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            freed.append(collect_garbage(cache_directory, Settings.from_environ({}), log, everything=True))

    thread = threading.Thread(target=work, daemon=True)
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
    """Every pull has the right tree and says nothing of trouble."""
    told: list[str] = []
    monkeypatch.setattr(RunLog, "warning", lambda _, message: told.append(message))
    settings = make_settings({"PREFECT_UV_CACHE_DIR": str(cache_directory.root)})
    with collecting(cache_directory, log) as freed:
        for number in range(ROUNDS):
            origin.commit("flow.py", f"number {number}")
            place = cache_directory.root.parent / f"work-{number}"
            place.mkdir()
            monkeypatch.chdir(place)
            pull({"pull_steps": [{CLONE: {"repository": origin.url}}]}, settings, RunLog(Mask()), None)
            assert (place / "flows" / "flow.py").read_text() == f"number {number}"
    assert told == []
    assert any(freed)
