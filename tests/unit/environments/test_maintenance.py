"""Maintenance of the cache volume while a flow runs."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest

from prefect_uv.cache_volume.cache_directory import IMPORT_BUNDLE
from prefect_uv.environments import EnvironmentStore
from tests.unit.etl import Etl, sync

MakeStore = Callable[..., EnvironmentStore]


def test_full_disk_does_not_keep_garbage(etl: Etl, make_store: MakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """If there is no room for the import bundle, what makes room has been done before."""

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = make_store()
    environment = sync(store, etl)
    dangling = store.volume.cache.index / ("0" * 64)
    dangling.write_text("{}")
    monkeypatch.setattr(os, "fsync", full)
    with store.maintenance(environment):
        pass
    assert not dangling.exists()
    assert not (environment.path / IMPORT_BUNDLE).exists()


def test_bundle_is_left_for_the_next_run(etl: Etl, make_store: MakeStore) -> None:
    """A run leaves the import bundle of its environment; a setting says that none does."""
    for variables, left in (({"PREFECT_UV_IMPORT_BUNDLE": "false"}, False), ({}, True)):
        store = make_store(**variables)
        environment = sync(store, etl)
        with store.maintenance(environment):
            pass
        assert (environment.path / IMPORT_BUNDLE).exists() == left
