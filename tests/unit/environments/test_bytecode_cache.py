"""Bytecode that outlives its environment."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_uv.cache_volume.cache_directory import DAY_SECONDS
from prefect_uv.environments import Environment, EnvironmentStore
from prefect_uv.environments.build.bytecode_cache import BytecodeCache
from prefect_uv.environments.garbage.disk_usage import measure_usage
from prefect_uv.environments.garbage.garbage_collection import collect_garbage
from prefect_uv.environments.key.manifest import Manifest
from tests.unit.etl import Etl, environments, sync
from tests.unit.wheels import build_wheel

TRUSTED = (os.geteuid(),)


@pytest.fixture
def with_helper(etl: Etl) -> Etl:
    """A project of two packages."""
    etl.write("prefect", "helper")
    etl.lock()
    return etl


@pytest.fixture
def bytecode(cache: Path) -> BytecodeCache:
    """What is kept on the volume."""
    return BytecodeCache(cache / "bytecode" / "v1", TRUSTED)


def used(environment: Environment, store: EnvironmentStore) -> Path:
    """The bytecode of a module, after a run has imported it and its end has kept it."""
    with store.maintenance(environment):
        run(environment)
    (compiled,) = compiled_in(environment)
    return compiled


def run(environment: Environment) -> None:
    """Import a module."""
    subprocess.run([environment.path / "bin" / "python", "-c", "import helper"], check=True, timeout=30, env={})


def compiled_in(environment: Environment) -> list[Path]:
    """The bytecode of the module."""
    return list(environment.path.glob("lib/*/site-packages/__pycache__/helper.*.pyc"))


def forget_environments(cache: Path) -> None:
    """All of them, and uv's cache stays."""
    for path in environments(cache):
        shutil.rmtree(path)


def test_next_environment_has_it(with_helper: Etl, make_store: Callable[..., EnvironmentStore], cache: Path) -> None:
    """The same file, which Python takes as it is."""
    inode = used(sync(store := make_store(), with_helper), store).stat().st_ino
    forget_environments(cache)
    again = sync(make_store(), with_helper)
    assert not again.hit
    assert [path.stat().st_ino for path in compiled_in(again)] == [inode]
    run(again)
    assert [path.stat().st_ino for path in compiled_in(again)] == [inode]


def test_what_python_compiles_anew_takes_its_place(
    with_helper: Etl, make_store: Callable[..., EnvironmentStore], cache: Path
) -> None:
    """As after uv has unpacked a package again: its files have another time, and the old bytecode does not count."""
    store = make_store()
    environment = sync(store, with_helper)
    old = used(environment, store)
    (module,) = environment.path.glob("lib/*/site-packages/helper.py")
    os.utime(module, (0, 0))
    before = old.stat().st_ino
    assert used(environment, store).stat().st_ino != before
    (kept,) = cache.glob("bytecode/v1/helper-*/__pycache__/helper.*.pyc")
    assert kept.samefile(old)


def test_another_version_does_not_have_it(
    with_helper: Etl, make_store: Callable[..., EnvironmentStore], cache: Path
) -> None:
    """It is another package, though its modules may be the same."""
    used(sync(store := make_store(), with_helper), store)
    forget_environments(cache)
    build_wheel(with_helper.wheels, "helper", "2.0", {"helper.py": "x = 1\n"})
    with_helper.write("prefect", "helper==2.0")
    with_helper.lock()
    assert compiled_in(sync(make_store(), with_helper)) == []


def test_nobody_elses(with_helper: Etl, make_store: Callable[..., EnvironmentStore], bytecode: BytecodeCache) -> None:
    """Whoever may not give us environments may not give us bytecode."""
    store = make_store()
    environment = sync(store, with_helper)
    used(environment, store).unlink()
    manifest = Manifest.read(environment.path)
    assert manifest
    BytecodeCache(bytecode.directory, ()).restore(environment.path, manifest.contents)
    assert compiled_in(environment) == []
    bytecode.restore(environment.path, manifest.contents)
    assert len(compiled_in(environment)) == 1


def test_what_is_forgotten_meanwhile_is_done_without(
    with_helper: Etl,
    make_store: Callable[..., EnvironmentStore],
    bytecode: BytecodeCache,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another container collects garbage while an environment is built."""
    store = make_store()
    used(sync(store, with_helper), store)
    forget_environments(cache)
    touch = os.utime

    def late(path: Path | int, times: tuple[float, float] | None = None) -> None:
        if isinstance(path, Path) and path.parent == bytecode.directory:
            shutil.rmtree(path)
        touch(path, times)

    monkeypatch.setattr(os, "utime", late)
    assert compiled_in(sync(make_store(), with_helper)) == []
    assert list(bytecode.directory.iterdir()) == []


def test_it_goes_when_nobody_asks_for_it(
    with_helper: Etl, make_store: Callable[..., EnvironmentStore], bytecode: BytecodeCache
) -> None:
    """By the age that environments have, too."""
    store = make_store()
    used(sync(store, with_helper), store)
    old, new = sorted(bytecode.directory.iterdir())
    then = old.stat().st_mtime - 31 * DAY_SECONDS
    os.utime(old, (then, then))
    collect_garbage(store.published.cache, store.settings, store.log)
    assert list(bytecode.directory.iterdir()) == [new]


def test_it_goes_with_uvs_cache(
    with_helper: Etl, make_store: Callable[..., EnvironmentStore], bytecode: BytecodeCache
) -> None:
    """Unpacked again, files have other times, and no bytecode fits them."""
    store = make_store()
    environment = sync(store, with_helper)
    used(environment, store)
    os.close(environment.lease)
    held = measure_usage(store.published.cache).total
    freed = collect_garbage(store.published.cache, store.settings, store.log, everything=True)
    assert not bytecode.directory.exists()
    assert freed == held - measure_usage(store.published.cache).total
