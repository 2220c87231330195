"""Garbage: what goes first, what stays, and by which clock."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_uv.cache_volume.cache_directory import CacheDirectory, crosses_nodes
from prefect_uv.cache_volume.lease import take_lease
from prefect_uv.environments import EnvironmentStore
from prefect_uv.environments.garbage import garbage_collection as gc_module
from prefect_uv.environments.garbage.disk_usage import measure_usage
from prefect_uv.environments.garbage.garbage_collection import collect_garbage
from prefect_uv.log.run_log import RunLog
from prefect_uv.settings import Settings
from tests.unit.etl import Etl, environments, leftovers, sync
from tests.unit.wheels import build_wheel

DAY = 86400.0
MEGABYTE = 1 << 20
Collect = Callable[..., int]


@pytest.fixture
def cache_directory(tmp_path: Path) -> CacheDirectory:
    """An area of its own."""
    made = CacheDirectory(tmp_path / "cache", tmp_path / "cache" / "uv-0.13")
    made.prepare()
    return made


@pytest.fixture
def collected(cache_directory: CacheDirectory, log: RunLog) -> Collect:
    """Collects garbage there, with variables."""
    return lambda **variables: collect_garbage(cache_directory, Settings.from_environ(variables), log)


def environment(cache_directory: CacheDirectory, name: str, days: float = 0, size: int = MEGABYTE) -> Path:
    """An environment that was last used some days ago."""
    path = cache_directory.environments / name
    path.mkdir()
    (path / "file").write_bytes(os.urandom(size))
    (path / ".inuse").touch()
    then = cache_directory.now() - days * DAY
    os.utime(path / ".inuse", (then, then))
    return path


def names(cache_directory: CacheDirectory) -> list[str]:
    """What is left."""
    return sorted(path.name for path in cache_directory.environments.iterdir())


def test_least_recently_used_goes_first(cache_directory: CacheDirectory, collected: Collect) -> None:
    """Until what is left is within the limit."""
    for name, days in (("a", 3), ("b", 1), ("c", 2)):
        environment(cache_directory, name, days)
    assert collected(PREFECT_UV_CACHE_LIMIT="2.5M") >= MEGABYTE
    assert names(cache_directory) == ["b", "c"]


def test_old_ones_go_though_there_is_room(cache_directory: CacheDirectory, collected: Collect) -> None:
    """By age alone."""
    environment(cache_directory, "old", 31)
    environment(cache_directory, "new", 29)
    collected()
    assert names(cache_directory) == ["new"]


def test_one_in_use_stays(cache_directory: CacheDirectory, collected: Collect) -> None:
    """However old it is and however little may stay; without its lease it goes."""
    held = take_lease(environment(cache_directory, "old", 100), touch=False)
    assert held is not None
    collected(PREFECT_UV_CACHE_LIMIT="1")
    assert names(cache_directory) == ["old"]
    os.close(held)
    collected(PREFECT_UV_CACHE_LIMIT="1")
    assert names(cache_directory) == []


def test_one_that_goes_is_not_taken_into_use(cache_directory: CacheDirectory) -> None:
    """A lease on what has been moved away is none."""
    path = environment(cache_directory, "a")
    cache_directory.discard(path)
    assert take_lease(path) is None


def test_margin_where_locks_may_not_cross(
    cache_directory: CacheDirectory, collected: Collect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a network file system a free lock proves little: a day without use has to pass."""
    monkeypatch.setattr(gc_module, "crosses_nodes", lambda _: True)
    environment(cache_directory, "recent", 0.5)
    environment(cache_directory, "old", 1.5)
    collected(PREFECT_UV_CACHE_LIMIT="1")
    assert names(cache_directory) == ["recent"]


def test_clock_in_the_future_counts_as_just_used(cache_directory: CacheDirectory, collected: Collect) -> None:
    """Marks of a clock that was wrong keep an environment for a while; they break nothing."""
    environment(cache_directory, "ahead", -400)
    environment(cache_directory, "behind", 40)
    collected()
    assert names(cache_directory) == ["ahead"]


def test_hard_links_count_once(cache_directory: CacheDirectory) -> None:
    """What environments share is there once; removing one frees only what is its own."""
    first, second = environment(cache_directory, "a"), environment(cache_directory, "b")
    (second / "shared").hardlink_to(first / "file")
    usage = measure_usage(cache_directory)
    assert 2 * MEGABYTE <= usage.total < 2.2 * MEGABYTE
    assert usage.freed_by_removing([first]) < 0.1 * MEGABYTE
    usage.remove(first)
    assert usage.total >= 2 * MEGABYTE


def test_downloads_that_no_environment_uses_go_first(cache_directory: CacheDirectory, collected: Collect) -> None:
    """uv fetches them again when it must; environments are worth more."""
    kept = environment(cache_directory, "a", 3)
    (cache_directory.uv_cache / "linked").hardlink_to(kept / "file")
    (cache_directory.uv_cache / "unused").write_bytes(os.urandom(2 * MEGABYTE))
    collected(PREFECT_UV_CACHE_LIMIT="1.5M")
    assert names(cache_directory) == ["a"]
    assert not cache_directory.uv_cache.exists()
    assert (kept / "file").stat().st_size == MEGABYTE


def test_cache_that_uv_uses_stays(cache_directory: CacheDirectory, collected: Collect) -> None:
    """uv locks its cache as long as it runs."""
    (cache_directory.uv_cache / "unused").write_bytes(os.urandom(2 * MEGABYTE))
    hold = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_SH); print(flush=True); input()"
    command = [sys.executable, "-c", hold, str(cache_directory.uv_cache / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as uv:
        assert uv.stdout is not None
        assert uv.stdout.readline() == "\n"
        collected(PREFECT_UV_CACHE_LIMIT="1M")
        assert (cache_directory.uv_cache / "unused").exists()
        uv.communicate("\n", timeout=20)
    collected(PREFECT_UV_CACHE_LIMIT="1M")
    assert not cache_directory.uv_cache.exists()


def test_leftovers_of_dead_builders_go(cache_directory: CacheDirectory, collected: Collect) -> None:
    """Builds whose claim nobody holds, and what was on its way out."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    for name, node in (("dead", boot), ("elsewhere", "another-node")):
        (cache_directory.builds / name).mkdir()
        (cache_directory.builds / name / "claim").write_text(f"{node} host 1\n")
    (cache_directory.trash / "half").mkdir()
    collected()
    assert [path.name for path in cache_directory.builds.iterdir()] == ["elsewhere"]
    assert list(cache_directory.trash.iterdir()) == []


def test_earlier_layouts_go_by_the_same_rules(cache_directory: CacheDirectory, collected: Collect) -> None:
    """An environment of an earlier version stays while it is used, and goes with the rest."""
    old = cache_directory.environments.parent / "v0" / "abc"
    old.mkdir(parents=True)
    (old / "file").write_bytes(os.urandom(MEGABYTE))
    collected()
    assert old.exists()
    collected(PREFECT_UV_CACHE_LIMIT="1")
    assert not old.exists()


def test_collected_after_a_build_and_not_after_a_hit(
    etl: Etl, cache: Path, make_store: Callable[..., EnvironmentStore]
) -> None:
    """uv's own leftovers included; a start that built nothing costs nothing."""
    store = make_store()
    built = sync(store, etl)
    partial = next(cache.glob("uv-*")) / ".tmpAbCdEf"
    partial.mkdir()
    with store.maintenance(built):
        pass
    assert not partial.exists()
    partial.mkdir()
    store = make_store()
    with store.maintenance(sync(store, etl)):
        pass
    assert partial.exists()


def test_limit_while_environments_come(etl: Etl, cache: Path, make_store: Callable[..., EnvironmentStore]) -> None:
    """The one that runs is never removed, not even for its own sake."""
    for number in range(3):
        build_wheel(etl.wheels, "tools", f"{number}.0", {"tools.py": f"x = '{'y' * 3000}'\n"})
        etl.write("prefect", f"tools=={number}.0")
        etl.lock()
        store = make_store(PREFECT_UV_CACHE_LIMIT="1K")
        environment_ = sync(store, etl)
        with store.maintenance(environment_):
            pass
        assert environments(cache) == [environment_.path]
        assert leftovers(cache) == []
        os.close(environment_.lease)


def test_local_file_systems_do_not_cross_nodes() -> None:
    """Which they are is read from the kernel's list of mounts."""
    assert crosses_nodes(Path("/proc")) is False
