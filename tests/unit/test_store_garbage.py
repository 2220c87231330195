"""Garbage: what goes first, what stays, and by which clock."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_uv.runlog import RunLog
from prefect_uv.settings import Settings
from prefect_uv.store import Store
from prefect_uv.store import gc as gc_module
from prefect_uv.store.gc import collect
from prefect_uv.store.usage import measure
from prefect_uv.volume.layout import Area, crosses_nodes
from prefect_uv.volume.lease import lease
from tests.unit.etl import Etl, environments, leftovers, sync
from tests.unit.wheels import build_wheel

DAY = 86400.0
MEGABYTE = 1 << 20
Collect = Callable[..., int]


@pytest.fixture
def area(tmp_path: Path) -> Area:
    """An area of its own."""
    made = Area(tmp_path / "cache", tmp_path / "cache" / "uv-0.13")
    made.prepare()
    return made


@pytest.fixture
def collected(area: Area, log: RunLog) -> Collect:
    """Collects garbage there, with variables."""
    return lambda **variables: collect(area, Settings.from_environ(variables), log)


def environment(area: Area, name: str, days: float = 0, size: int = MEGABYTE) -> Path:
    """An environment that was last used some days ago."""
    path = area.environments / name
    path.mkdir()
    (path / "file").write_bytes(os.urandom(size))
    (path / ".inuse").touch()
    then = area.now() - days * DAY
    os.utime(path / ".inuse", (then, then))
    return path


def names(area: Area) -> list[str]:
    """What is left."""
    return sorted(path.name for path in area.environments.iterdir())


def test_least_recently_used_goes_first(area: Area, collected: Collect) -> None:
    """Until what is left is within the limit."""
    for name, days in (("a", 3), ("b", 1), ("c", 2)):
        environment(area, name, days)
    assert collected(PREFECT_UV_CACHE_LIMIT="2.5M") >= MEGABYTE
    assert names(area) == ["b", "c"]


def test_old_ones_go_though_there_is_room(area: Area, collected: Collect) -> None:
    """By age alone."""
    environment(area, "old", 31)
    environment(area, "new", 29)
    collected()
    assert names(area) == ["new"]


def test_one_in_use_stays(area: Area, collected: Collect) -> None:
    """However old it is and however little may stay; without its lease it goes."""
    held = lease(environment(area, "old", 100), touch=False)
    assert held is not None
    collected(PREFECT_UV_CACHE_LIMIT="1")
    assert names(area) == ["old"]
    os.close(held)
    collected(PREFECT_UV_CACHE_LIMIT="1")
    assert names(area) == []


def test_one_that_goes_is_not_taken_into_use(area: Area) -> None:
    """A lease on what has been moved away is none."""
    path = environment(area, "a")
    area.discard(path)
    assert lease(path) is None


def test_margin_where_locks_may_not_cross(area: Area, collected: Collect, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a network file system a free lock proves little: a day without use has to pass."""
    monkeypatch.setattr(gc_module, "crosses_nodes", lambda _: True)
    environment(area, "recent", 0.5)
    environment(area, "old", 1.5)
    collected(PREFECT_UV_CACHE_LIMIT="1")
    assert names(area) == ["recent"]


def test_clock_in_the_future_counts_as_just_used(area: Area, collected: Collect) -> None:
    """Marks of a clock that was wrong keep an environment for a while; they break nothing."""
    environment(area, "ahead", -400)
    environment(area, "behind", 40)
    collected()
    assert names(area) == ["ahead"]


def test_hard_links_count_once(area: Area) -> None:
    """What environments share is there once; removing one frees only what is its own."""
    first, second = environment(area, "a"), environment(area, "b")
    (second / "shared").hardlink_to(first / "file")
    usage = measure(area)
    assert 2 * MEGABYTE <= usage.total < 2.2 * MEGABYTE
    assert usage.own([first]) < 0.1 * MEGABYTE
    usage.remove(first)
    assert usage.total >= 2 * MEGABYTE


def test_downloads_that_no_environment_uses_go_first(area: Area, collected: Collect) -> None:
    """uv fetches them again when it must; environments are worth more."""
    kept = environment(area, "a", 3)
    (area.uv_cache / "linked").hardlink_to(kept / "file")
    (area.uv_cache / "unused").write_bytes(os.urandom(2 * MEGABYTE))
    collected(PREFECT_UV_CACHE_LIMIT="1.5M")
    assert names(area) == ["a"]
    assert not area.uv_cache.exists()
    assert (kept / "file").stat().st_size == MEGABYTE


def test_cache_that_uv_uses_stays(area: Area, collected: Collect) -> None:
    """uv locks its cache as long as it runs."""
    (area.uv_cache / "unused").write_bytes(os.urandom(2 * MEGABYTE))
    hold = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_SH); print(flush=True); input()"
    command = [sys.executable, "-c", hold, str(area.uv_cache / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as uv:
        assert uv.stdout is not None
        assert uv.stdout.readline() == "\n"
        collected(PREFECT_UV_CACHE_LIMIT="1M")
        assert (area.uv_cache / "unused").exists()
        uv.communicate("\n", timeout=20)
    collected(PREFECT_UV_CACHE_LIMIT="1M")
    assert not area.uv_cache.exists()


def test_leftovers_of_dead_builders_go(area: Area, collected: Collect) -> None:
    """Builds whose claim nobody holds, and what was on its way out."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    for name, node in (("dead", boot), ("elsewhere", "another-node")):
        (area.builds / name).mkdir()
        (area.builds / name / "claim").write_text(f"{node} host 1\n")
    (area.trash / "half").mkdir()
    collected()
    assert [path.name for path in area.builds.iterdir()] == ["elsewhere"]
    assert list(area.trash.iterdir()) == []


def test_earlier_layouts_go_by_the_same_rules(area: Area, collected: Collect) -> None:
    """An environment of an earlier version stays while it is used, and goes with the rest."""
    old = area.environments.parent / "v0" / "abc"
    old.mkdir(parents=True)
    (old / "file").write_bytes(os.urandom(MEGABYTE))
    collected()
    assert old.exists()
    collected(PREFECT_UV_CACHE_LIMIT="1")
    assert not old.exists()


def test_collected_after_a_build_and_not_after_a_hit(etl: Etl, cache: Path, make_store: Callable[..., Store]) -> None:
    """uv's own leftovers included; a start that built nothing costs nothing."""
    store = make_store()
    built = sync(store, etl)
    partial = next(cache.glob("uv-*")) / ".tmpAbCdEf"
    partial.mkdir()
    with store.keeping(built):
        pass
    assert not partial.exists()
    partial.mkdir()
    store = make_store()
    with store.keeping(sync(store, etl)):
        pass
    assert partial.exists()


def test_limit_while_environments_come(etl: Etl, cache: Path, make_store: Callable[..., Store]) -> None:
    """The one that runs is never removed, not even for its own sake."""
    for number in range(3):
        build_wheel(etl.wheels, "tools", f"{number}.0", {"tools.py": f"x = '{'y' * 3000}'\n"})
        etl.write("prefect", f"tools=={number}.0")
        etl.lock()
        store = make_store(PREFECT_UV_CACHE_LIMIT="1K")
        environment_ = sync(store, etl)
        with store.keeping(environment_):
            pass
        assert environments(cache) == [environment_.path]
        assert leftovers(cache) == []
        os.close(environment_.lease)


def test_local_file_systems_do_not_cross_nodes() -> None:
    """Which they are is read from the kernel's list of mounts."""
    assert crosses_nodes(Path("/proc")) is False
