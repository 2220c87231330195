"""Maintenance of the cache volume while a flow runs."""

from __future__ import annotations

import errno
import os
import subprocess
import time
from collections.abc import Callable

import pytest

from prefect_uv.cache_volume.cache_directory import IMPORT_BUNDLE
from prefect_uv.environments import Environment, EnvironmentStore
from prefect_uv.environments.build.verification import site_packages
from tests.unit.etl import Etl, sync

MakeStore = Callable[..., EnvironmentStore]


def run_engine(environment: Environment) -> None:
    """What an engine leaves: bytecode."""
    compile_module(environment, "prefect.flow_engine")


def compile_module(environment: Environment, name: str) -> None:
    """Import a module, so that Python writes its bytecode."""
    python = environment.path / "bin" / "python"
    subprocess.run([python, "-c", f"import {name}"], env={}, check=True, timeout=20)


def test_full_disk_does_not_keep_garbage(etl: Etl, make_store: MakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """If there is no room for the import bundle, what makes room has been done before."""
    written = []

    def full(descriptor: int) -> None:
        written.append(descriptor)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = make_store()
    environment = sync(store, etl)
    run_engine(environment)
    dangling = store.volume.cache.index / ("0" * 64)
    dangling.write_text("{}")
    monkeypatch.setattr(os, "fsync", full)
    with store.maintenance(environment):
        pass
    assert not dangling.exists()
    assert len(written) == 1
    assert not (environment.path / IMPORT_BUNDLE).exists()


def test_bundle_that_cannot_be_renewed_is_left_alone_for_an_hour(
    etl: Etl, make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run in an hour tries, and fails on a full disk; those after it use the old bundle."""
    store = make_store()
    environment = sync(store, etl)
    run_engine(environment)
    with store.maintenance(environment):
        pass
    bundle = environment.path / IMPORT_BUNDLE
    content = bundle.read_bytes()
    os.utime(bundle, (time.time() - 3700,) * 2)
    attempts = []

    def full(*_: object) -> None:
        attempts.append(1)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    for _ in range(2):
        with store.maintenance(sync(store, etl)):
            pass
    assert len(attempts) == 1
    assert bundle.read_bytes() == content


def test_bundle_is_left_for_the_next_run(etl: Etl, make_store: MakeStore) -> None:
    """A run leaves the import bundle of its environment; a setting says that none does."""
    for variables, left in (({"PREFECT_UV_IMPORT_BUNDLE": "false"}, False), ({}, True)):
        store = make_store(**variables)
        environment = sync(store, etl)
        run_engine(environment)
        with store.maintenance(environment):
            pass
        assert (environment.path / IMPORT_BUNDLE).exists() == left


def test_first_engine_makes_the_bundle(etl: Etl, make_store: MakeStore) -> None:
    """`prefect-uv sync`, after which nothing has been compiled, leaves no bundle; the first engine does."""
    store = make_store()
    environment = sync(store, etl)
    with store.maintenance(environment):
        pass
    assert not (environment.path / IMPORT_BUNDLE).exists()
    run_engine(environment)
    with store.maintenance(sync(store, etl)):
        pass
    assert (environment.path / IMPORT_BUNDLE).exists()


def test_each_bundle_is_written_again_after_an_hour(etl: Etl, make_store: MakeStore) -> None:
    """Whoever collected garbage last: a bundle stays for an hour, then it gets what has been compiled since."""
    store = make_store()
    environment = sync(store, etl)
    bundle = environment.path / IMPORT_BUNDLE
    run_engine(environment)
    sizes = []
    for age in (0, 3000, 3700):
        if age:
            (site_packages(environment.path) / "prefect" / "later.py").write_text("LATER = 1")
            compile_module(environment, "prefect.later")
            os.utime(bundle, (time.time() - age,) * 2)
        with store.maintenance(sync(store, etl)):
            pass
        sizes.append(bundle.stat().st_size)
    assert sizes[0] == sizes[1] < sizes[2]
