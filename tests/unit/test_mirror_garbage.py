"""Mirrors of repositories go with the store's garbage, and never under a pull."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from prefect_uv.mask import Mask
from prefect_uv.pull import pull
from prefect_uv.pull.git import Request
from prefect_uv.pull.mirror import Mirror
from prefect_uv.runlog import RunLog
from prefect_uv.settings import Settings
from prefect_uv.store.gc import collect
from prefect_uv.store.usage import measure
from prefect_uv.volume.layout import Area
from tests.unit.conftest import MakeSettings, Origin

DAY = 86400.0
ROUNDS = 20
CLONE = "prefect.deployments.steps.git_clone"


@pytest.fixture
def area(tmp_path: Path) -> Area:
    """An area of its own."""
    made = Area(tmp_path / "cache", tmp_path / "cache" / "uv-0.13")
    made.prepare()
    return made


@pytest.fixture
def clean(area: Area, log: RunLog) -> Callable[..., int]:
    """Collects garbage there, with variables."""
    return lambda **variables: collect(area, Settings.from_environ(variables), log)


def mirror(area: Area, name: str) -> Mirror:
    """The mirror of a repository, with one snapshot."""
    made = Mirror.of(Settings.from_environ({"PREFECT_UV_CACHE_DIR": str(area.root)}), Request(name, Path("x")))
    assert made
    (made.place / "abc").mkdir(parents=True)
    (made.place / "abc" / "pack").write_bytes(os.urandom(1 << 20))
    return made


def used(made: Mirror, area: Area, days: float) -> None:
    """It was last used some days ago."""
    held = made.hold()
    assert held is not None
    os.close(held)
    then = area.now() - days * DAY
    os.utime(made.place / ".inuse", (then, then))


def test_unused_mirrors_go(area: Area, clean: Callable[..., int]) -> None:
    """By the days of PREFECT_UV_CACHE_DAYS since the last pull."""
    old, new = mirror(area, "old"), mirror(area, "new")
    used(old, area, 6)
    used(new, area, 4)
    assert clean(PREFECT_UV_CACHE_DAYS="5") >= 1 << 20
    assert list(area.mirrors.iterdir()) == [new.place]
    assert list(area.trash.iterdir()) == []


def test_mirrors_count_for_the_limit(area: Area, clean: Callable[..., int]) -> None:
    """The least recently used one goes first."""
    old, new = mirror(area, "old"), mirror(area, "new")
    used(old, area, 2)
    used(new, area, 1)
    clean(PREFECT_UV_CACHE_LIMIT="1.5M")
    assert list(area.mirrors.iterdir()) == [new.place]
    assert measure(area).total < 1.5 * (1 << 20)


def test_mirror_in_use_stays(area: Area, clean: Callable[..., int]) -> None:
    """However little may stay; once the pull is over it goes, and a later pull makes it anew."""
    made = mirror(area, "busy")
    held = made.hold()
    assert held is not None
    clean(PREFECT_UV_CACHE_LIMIT="1")
    assert made.place.is_dir()
    os.close(held)
    clean(PREFECT_UV_CACHE_LIMIT="1")
    assert not made.place.exists()
    again = made.hold()
    assert again is not None
    os.close(again)


@contextmanager
def collecting(area: Area, log: RunLog) -> Iterator[list[int]]:
    """Everything that nobody uses is removed, again and again."""
    freed: list[int] = []
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            freed.append(collect(area, Settings.from_environ({}), log, everything=True))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield freed
    finally:
        over.set()
        thread.join()


def test_pulls_while_everything_is_collected(
    area: Area, origin: Origin, make_settings: MakeSettings, log: RunLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every pull has the right tree and says nothing of trouble."""
    told: list[str] = []
    monkeypatch.setattr(RunLog, "warning", lambda _, message: told.append(message))
    settings = make_settings({"PREFECT_UV_CACHE_DIR": str(area.root)})
    with collecting(area, log) as freed:
        for number in range(ROUNDS):
            origin.commit("flow.py", f"number {number}")
            place = area.root.parent / f"work-{number}"
            place.mkdir()
            monkeypatch.chdir(place)
            pull({"pull_steps": [{CLONE: {"repository": origin.url}}]}, settings, RunLog(Mask()), None)
            assert (place / "flows" / "flow.py").read_text() == f"number {number}"
    assert told == []
    assert any(freed)
