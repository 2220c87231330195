"""Garbage collection: what is removed first, what stays, and by which clock."""

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
from tests.unit.conftest import Collect
from tests.unit.etl import Etl, environments, leftovers, sync
from tests.unit.wheels import build_wheel

DAY = 86400.0
MEGABYTE = 1 << 20


def environment(cache_directory: CacheDirectory, name: str, days: float = 0, size: int = MEGABYTE) -> Path:
    """An environment that was last used some days ago."""
    path = cache_directory.environments / name.encode().hex().ljust(64, "0")
    path.mkdir()
    (path / "file").write_bytes(os.urandom(size))
    (path / ".inuse").touch()
    then = cache_directory.now() - days * DAY
    os.utime(path / ".inuse", (then, then))
    return path


def names(cache_directory: CacheDirectory) -> list[str]:
    """The names of the environments that are left."""
    keys = (path.name.rstrip("0") for path in cache_directory.environments.iterdir())
    return sorted(bytes.fromhex(key.ljust(len(key) + len(key) % 2, "0")).decode() for key in keys)


def test_least_recently_used_goes_first(cache_directory: CacheDirectory, collect: Collect) -> None:
    """Environments are removed until the rest is within the limit."""
    for name, days in (("a", 3), ("b", 1), ("c", 2)):
        environment(cache_directory, name, days)
    assert collect(PREFECT_UV_CACHE_LIMIT="2.5M") >= MEGABYTE
    assert names(cache_directory) == ["b", "c"]


def test_old_environments_are_removed_within_the_limit(cache_directory: CacheDirectory, collect: Collect) -> None:
    """Age alone is enough."""
    environment(cache_directory, "old", 31)
    environment(cache_directory, "new", 29)
    collect()
    assert names(cache_directory) == ["new"]


def test_environment_in_use_stays(cache_directory: CacheDirectory, collect: Collect) -> None:
    """Age and limit do not matter while there is a lease; afterwards they do."""
    held = take_lease(environment(cache_directory, "old", 100), touch=False)
    assert held is not None
    collect(PREFECT_UV_CACHE_LIMIT="1")
    assert names(cache_directory) == ["old"]
    os.close(held)
    collect(PREFECT_UV_CACHE_LIMIT="1")
    assert names(cache_directory) == []


def test_discarded_environment_gives_no_lease(cache_directory: CacheDirectory) -> None:
    """What has been moved to the trash cannot be taken into use."""
    path = environment(cache_directory, "a")
    cache_directory.discard(path)
    assert take_lease(path) is None


def test_margin_on_a_network_file_system(
    cache_directory: CacheDirectory, collect: Collect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A free lock proves little there: an environment must also be unused for a day."""
    monkeypatch.setattr(gc_module, "crosses_nodes", lambda _: True)
    environment(cache_directory, "recent", 0.5)
    environment(cache_directory, "old", 1.5)
    collect(PREFECT_UV_CACHE_LIMIT="1")
    assert names(cache_directory) == ["recent"]


def test_time_of_use_in_the_future(cache_directory: CacheDirectory, collect: Collect) -> None:
    """A wrong clock keeps an environment for a while, and breaks nothing."""
    environment(cache_directory, "ahead", -400)
    environment(cache_directory, "behind", 40)
    collect()
    assert names(cache_directory) == ["ahead"]


def test_hard_links_count_once(cache_directory: CacheDirectory) -> None:
    """Shared files count once; removing an environment frees only what is its own."""
    first, second = environment(cache_directory, "a"), environment(cache_directory, "b")
    (second / "shared").hardlink_to(first / "file")
    usage = measure_usage(cache_directory)
    assert 2 * MEGABYTE <= usage.total < 2.2 * MEGABYTE
    assert usage.freed_by_removing([first]) < 0.1 * MEGABYTE
    usage.remove(first)
    assert usage.total >= 2 * MEGABYTE


def test_unused_downloads_are_removed_first(cache_directory: CacheDirectory, collect: Collect) -> None:
    """uv can download them again; environments are worth more."""
    kept = environment(cache_directory, "a", 3)
    (cache_directory.uv_cache / "linked").hardlink_to(kept / "file")
    (cache_directory.uv_cache / "unused").write_bytes(os.urandom(2 * MEGABYTE))
    collect(PREFECT_UV_CACHE_LIMIT="1.5M")
    assert names(cache_directory) == ["a"]
    assert not cache_directory.uv_cache.exists()
    assert (kept / "file").stat().st_size == MEGABYTE


def test_uv_cache_in_use_stays(cache_directory: CacheDirectory, collect: Collect) -> None:
    """uv locks its cache while it runs, and a locked cache is not removed."""
    (cache_directory.uv_cache / "unused").write_bytes(os.urandom(2 * MEGABYTE))
    hold = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_SH); print(flush=True); input()"
    command = [sys.executable, "-c", hold, str(cache_directory.uv_cache / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as uv:
        assert uv.stdout is not None
        assert uv.stdout.readline() == "\n"
        collect(PREFECT_UV_CACHE_LIMIT="1M")
        assert (cache_directory.uv_cache / "unused").exists()
        uv.communicate("\n", timeout=20)
    collect(PREFECT_UV_CACHE_LIMIT="1M")
    assert not cache_directory.uv_cache.exists()


def test_leftovers_of_dead_builders_are_removed(cache_directory: CacheDirectory, collect: Collect) -> None:
    """Builds whose work lock is abandoned are removed, and so is the trash."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    dead, elsewhere = (f"{number:012}-{'0' * 32}" for number in range(2))
    for name, node in ((dead, boot), (elsewhere, "another-node")):
        (cache_directory.builds / name).mkdir()
        (cache_directory.builds / name / "claim").write_text(f"{node} host 1\n")
    (cache_directory.trash / f"half-{'0' * 32}").mkdir()
    collect()
    assert [path.name for path in cache_directory.builds.iterdir()] == [elsewhere]
    assert list(cache_directory.trash.iterdir()) == []


def test_earlier_layouts_follow_the_same_rules(cache_directory: CacheDirectory, collect: Collect) -> None:
    """An environment of an earlier layout stays while it is recent, and is removed like the others."""
    old = cache_directory.environments.parent / "v0" / ("abc".ljust(64, "0"))
    old.mkdir(parents=True)
    (old / "file").write_bytes(os.urandom(MEGABYTE))
    collect()
    assert old.exists()
    collect(PREFECT_UV_CACHE_LIMIT="1")
    assert not old.exists()


def test_collection_after_a_build_and_not_after_a_hit(
    etl: Etl, cache: Path, make_store: Callable[..., EnvironmentStore]
) -> None:
    """uv's own leftovers are removed too; a start that builds nothing collects nothing."""
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


def test_limit_spares_the_environment_that_runs(
    etl: Etl, cache: Path, make_store: Callable[..., EnvironmentStore]
) -> None:
    """It is never removed, not even if it exceeds the limit alone."""
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
    """The kernel's list of mounts decides."""
    assert crosses_nodes(Path("/proc")) is False
