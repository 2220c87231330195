"""The bytecode cache: bytecode outlives its environment."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from prefect_uv.cache_volume.cache_directory import DAY_SECONDS, CacheDirectory
from prefect_uv.environments import Environment, EnvironmentStore
from prefect_uv.environments.build.bytecode_cache import BytecodeCache
from prefect_uv.environments.garbage.disk_usage import measure_usage
from prefect_uv.environments.garbage.garbage_collection import collect_garbage
from prefect_uv.environments.key.manifest import Manifest
from tests.unit.etl import Etl, environments, sync
from tests.unit.wheels import build_wheel


@pytest.fixture
def with_helper(etl: Etl) -> Etl:
    """A project of two packages."""
    etl.write("prefect", "helper")
    etl.lock()
    return etl


@pytest.fixture
def bytecode(cache: Path) -> BytecodeCache:
    """The bytecode cache on the volume."""
    return BytecodeCache(CacheDirectory(cache, {os.geteuid()}, cache / "uv-0.13"))


def kept_bytecode(environment: Environment, store: EnvironmentStore) -> Path:
    """The bytecode file of a module, after a run has imported it and maintenance has kept it."""
    with store.maintenance(environment):
        run(environment)
    (compiled,) = compiled_in(environment)
    return compiled


def run(environment: Environment) -> None:
    """Import the module in the environment."""
    subprocess.run([environment.path / "bin" / "python", "-c", "import helper"], check=True, timeout=30, env={})


def compiled_in(environment: Environment) -> list[Path]:
    """The bytecode files of the module."""
    return list(environment.path.glob("lib/*/site-packages/__pycache__/helper.*.pyc"))


def forget_environments(cache: Path) -> None:
    """Delete all environments, but not uv's cache."""
    for path in environments(cache):
        shutil.rmtree(path)


def test_next_environment_has_the_bytecode(
    with_helper: Etl, make_store: Callable[..., EnvironmentStore], cache: Path
) -> None:
    """It has the same file, and Python uses it as it is."""
    inode = kept_bytecode(sync(store := make_store(), with_helper), store).stat().st_ino
    forget_environments(cache)
    again = sync(make_store(), with_helper)
    assert not again.hit
    assert [path.stat().st_ino for path in compiled_in(again)] == [inode]
    run(again)
    assert [path.stat().st_ino for path in compiled_in(again)] == [inode]


def test_new_bytecode_replaces_the_kept_one(
    with_helper: Etl, make_store: Callable[..., EnvironmentStore], cache: Path
) -> None:
    """If uv unpacks a package again, its files have new times, and Python compiles them again."""
    store = make_store()
    environment = sync(store, with_helper)
    old = kept_bytecode(environment, store)
    (module,) = environment.path.glob("lib/*/site-packages/helper.py")
    os.utime(module, (0, 0))
    before = old.stat().st_ino
    assert kept_bytecode(environment, store).stat().st_ino != before
    (kept,) = cache.glob("bytecode/v1/helper-*/__pycache__/helper.*.pyc")
    assert kept.samefile(old)


def test_bytecode_that_is_not_checked_is_not_kept(
    with_helper: Etl, make_store: Callable[..., EnvironmentStore], cache: Path
) -> None:
    """Python would use it for any source of the same name, also of another build of the same version."""
    store = make_store(UV_COMPILE_BYTECODE="1", PYC_INVALIDATION_MODE="UNCHECKED_HASH")
    compiled = kept_bytecode(sync(store, with_helper), store)
    assert compiled.read_bytes()[4] == 1
    assert list(cache.glob("bytecode/v1/helper-*/__pycache__/*.pyc")) == []


def test_another_version_has_no_bytecode(
    with_helper: Etl, make_store: Callable[..., EnvironmentStore], cache: Path
) -> None:
    """Another version is another package, even if its modules are the same."""
    kept_bytecode(sync(store := make_store(), with_helper), store)
    forget_environments(cache)
    build_wheel(with_helper.wheels, "helper", "2.0", {"helper.py": "x = 1\n"})
    with_helper.write("prefect", "helper==2.0")
    with_helper.lock()
    assert compiled_in(sync(make_store(), with_helper)) == []


def test_bytecode_of_untrusted_users_is_not_used(
    with_helper: Etl, make_store: Callable[..., EnvironmentStore], bytecode: BytecodeCache
) -> None:
    """Users whose environments we do not trust cannot give us bytecode either."""
    store = make_store()
    environment = sync(store, with_helper)
    kept_bytecode(environment, store).unlink()
    manifest = Manifest.read(environment.path)
    assert manifest
    BytecodeCache(replace(bytecode.cache, trusted=())).restore(environment.path, manifest.contents)
    assert compiled_in(environment) == []
    bytecode.restore(environment.path, manifest.contents)
    assert len(compiled_in(environment)) == 1


def test_bytecode_deleted_during_a_build(
    with_helper: Etl,
    make_store: Callable[..., EnvironmentStore],
    bytecode: BytecodeCache,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If another container collects garbage during the build, the environment is built without bytecode."""
    store = make_store()
    kept_bytecode(sync(store, with_helper), store)
    forget_environments(cache)
    touch = os.utime

    def delete_first(
        path: Path | int, times: tuple[float, float] | None = None, *, follow_symlinks: bool = True
    ) -> None:
        if isinstance(path, Path) and path.parent == bytecode.cache.bytecode:
            shutil.rmtree(path)
        touch(path, times, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(os, "utime", delete_first)
    assert compiled_in(sync(make_store(), with_helper)) == []
    assert list(bytecode.cache.bytecode.iterdir()) == []


def test_unused_bytecode_is_removed(
    with_helper: Etl, make_store: Callable[..., EnvironmentStore], bytecode: BytecodeCache
) -> None:
    """It is removed at the same age as environments."""
    store = make_store()
    kept_bytecode(sync(store, with_helper), store)
    old, new = sorted(bytecode.cache.bytecode.iterdir())
    then = old.stat().st_mtime - 31 * DAY_SECONDS
    os.utime(old, (then, then))
    collect_garbage(store.volume.cache, store.settings, store.log)
    assert list(bytecode.cache.bytecode.iterdir()) == [new]


def test_bytecode_is_removed_with_uvs_cache(
    with_helper: Etl, make_store: Callable[..., EnvironmentStore], bytecode: BytecodeCache
) -> None:
    """Files that are unpacked again have other times, and no bytecode matches them."""
    store = make_store()
    environment = sync(store, with_helper)
    kept_bytecode(environment, store)
    os.close(environment.lease)
    usage = measure_usage(store.volume.cache).total
    freed = collect_garbage(store.volume.cache, store.settings, store.log, everything=True)
    assert not bytecode.cache.bytecode.exists()
    assert freed == usage - measure_usage(store.volume.cache).total
