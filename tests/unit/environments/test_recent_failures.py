"""Recent failures: a failing build is not repeated by every container, and a build that can succeed does."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_uv.cache_volume import work_lock as lock_module
from prefect_uv.environments import EnvironmentStore
from prefect_uv.environments.build import recent_failures as failures_module
from prefect_uv.environments.uv.uv_command import Uv
from prefect_uv.errors import IndexUnreachableError, SyncError
from prefect_uv.log.mask import Mask
from tests.unit.etl import WHEEL, Etl, environments, leftovers, sync, sync_at_once
from tests.unit.http_server import Answer, Server

DOWN = Answer(500)


@pytest.fixture
def unreachable(etl: Etl, server: Server) -> Server:
    """An index that fails to deliver the wheel."""
    etl.move_to(server)
    server.on(f"GET /api/prefect/{WHEEL}", DOWN)
    return server


def test_failure_is_repeated_without_a_build(
    etl: Etl, unreachable: Server, make_store: Callable[..., EnvironmentStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a minute, others get the same error with the time of the next attempt; then there is a new attempt."""
    with pytest.raises(IndexUnreachableError) as first:
        sync(make_store(UV_HTTP_RETRIES="0"), etl)
    unreachable.on(f"GET /api/prefect/{WHEEL}", Answer(body=(etl.wheels / WHEEL).read_bytes()))
    with pytest.raises(IndexUnreachableError) as second:
        sync(make_store(UV_HTTP_RETRIES="0"), etl)
    assert second.value.headline == first.value.headline
    assert first.value.found in second.value.found
    assert "Another container got this error " in second.value.found
    monkeypatch.setattr(failures_module, "REMEMBERED_SECONDS", 0)
    assert sync(make_store(), etl).hit is False


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_failure_with_a_wrong_time_is_ignored(
    etl: Etl, unreachable: Server, make_store: Callable[..., EnvironmentStore], cache: Path, seconds: int
) -> None:
    """A failure from the future or from long ago stops nobody."""
    with pytest.raises(IndexUnreachableError):
        sync(make_store(UV_HTTP_RETRIES="0"), etl)
    unreachable.on(f"GET /api/prefect/{WHEEL}", Answer(body=(etl.wheels / WHEEL).read_bytes()))
    (failure,) = (cache / "failed" / "v1").iterdir()
    then = failure.stat().st_mtime + seconds
    os.utime(failure, (then, then))
    assert sync(make_store(), etl).hit is False
    assert not failure.exists()


def test_wrong_credentials_are_not_remembered(
    etl: Etl, unreachable: Server, make_store: Callable[..., EnvironmentStore]
) -> None:
    """They concern one container only."""
    unreachable.on(f"GET /api/prefect/{WHEEL}", Answer(401))
    with pytest.raises(IndexUnreachableError):
        sync(make_store(UV_HTTP_RETRIES="0"), etl)
    unreachable.on(f"GET /api/prefect/{WHEEL}", Answer(body=(etl.wheels / WHEEL).read_bytes()))
    assert sync(make_store(), etl).hit is False


def test_remembered_failure_contains_no_secret(make_store: Callable[..., EnvironmentStore]) -> None:
    """uv prints signed addresses, and a build backend what it likes (uv 0.13.8, observed): the volume keeps neither."""
    cache_directory = make_store().writable().cache
    mask = Mask()
    mask.add("hush-hush")
    error = SyncError("No hush-hush.", "404 for `https://h/x.whl?sig=hidden`, hush-hush", "Try.")
    failures_module.remember_failure(cache_directory, "key", error, mask)
    assert not re.search("hidden|hush", (cache_directory.failures / "key").read_text())
    repeated = failures_module.recent_failure(cache_directory, "key")
    assert repeated is not None
    assert repeated.headline == "No ****."
    assert repeated.found.startswith("404 for `https://h/x.whl?sig=****`, ****\n")


def test_double_build_is_harmless(
    etl: Etl, make_store: Callable[..., EnvironmentStore], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If locks do not cross nodes, everybody builds: one rename wins, and all use the result."""
    monkeypatch.setattr(lock_module, "try_lock", lambda *_: True)
    all_builders = threading.Barrier(3)
    create_venv = Uv.create_venv

    def simultaneously(self: Uv, python: str, environment: Path) -> None:
        all_builders.wait(20)
        create_venv(self, python, environment)

    monkeypatch.setattr(Uv, "create_venv", simultaneously)
    built = sync_at_once(make_store, etl, 3)
    assert [environment.path for environment in built] == environments(cache) * 3
    assert leftovers(cache) == []
