"""Offline, and from the wheel directory: present packages are used, missing ones are named."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from prefect_uv.environments import Environment, EnvironmentStore
from prefect_uv.environments.build.verification import installed_versions
from prefect_uv.errors import HashMismatchError, OfflinePackageMissingError
from tests.unit.environments.test_extra_packages_source import extend
from tests.unit.etl import WHEEL, Etl, environments, leftovers, sync, unlocked
from tests.unit.http_server import Answer, Server
from tests.unit.wheels import build_wheel

OFFLINE = {"PREFECT_UV_OFFLINE": "true"}


@pytest.fixture
def indexed(etl: Etl, server: Server) -> Etl:
    """A project locked with an index over HTTP."""
    etl.move_to(server)
    return etl


@pytest.fixture
def from_wheels(indexed: Etl) -> Mapping[str, str]:
    """Variables for an offline start from the wheel directory."""
    return {**OFFLINE, "PREFECT_UV_WHEELS": str(indexed.wheels)}


def test_warm_uv_cache_is_enough(indexed: Etl, make_store: Callable[..., EnvironmentStore], cache: Path) -> None:
    """A deleted environment is rebuilt offline from uv's cache."""
    first = sync(make_store(), indexed)
    shutil.rmtree(first.path)
    assert sync(make_store(**OFFLINE), indexed).key == first.key
    assert environments(cache) == [first.path]


def test_missing_offline(
    indexed: Etl, make_store: Callable[..., EnvironmentStore], cache: Path, server: Server
) -> None:
    """The error names the package, and does not stop the next container that may use the network."""
    with pytest.raises(OfflinePackageMissingError) as caught:
        sync(make_store(**OFFLINE), indexed)
    assert caught.value.render() == (
        "error[offline-missing]: No index may be used, and neither uv's cache nor the wheel directory has"
        f" prefect==3.8.8.\n\n{caught.value.found}\n\n"
        "hint: Warm the volume with `prefect-uv sync` where there is a network; or put the wheels into a directory"
        " and set PREFECT_UV_WHEELS."
    )
    assert f"wasn't found in the cache: {server.url}/prefect/{WHEEL}" in caught.value.found
    assert (environments(cache), leftovers(cache)) == ([], [])
    assert sync(make_store(), indexed).hit is False


def test_unlocked_missing_offline(make_store: Callable[..., EnvironmentStore], server: Server) -> None:
    """The error names the package even without a version."""
    with pytest.raises(OfflinePackageMissingError) as caught:
        make_store(**OFFLINE, UV_DEFAULT_INDEX=server.url).environment(unlocked("prefect", "helper"))
    assert "neither uv's cache nor the wheel directory has prefect." in caught.value.headline


def test_locked_project_from_wheels(
    indexed: Etl, make_store: Callable[..., EnvironmentStore], from_wheels: Mapping[str, str], tmp_path: Path
) -> None:
    """An empty cache and no index are enough, and the key is the same."""
    other = str(tmp_path / "other")
    made = sync(make_store(**from_wheels), indexed)
    assert installed_versions(made.path) == {"prefect": "3.8.8"}
    assert sync(make_store(PREFECT_UV_CACHE_DIR=other), indexed).key == made.key


def test_missing_wheels(indexed: Etl, make_store: Callable[..., EnvironmentStore], cache: Path, tmp_path: Path) -> None:
    """The error names all of them."""
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(OfflinePackageMissingError) as caught:
        sync(make_store(**OFFLINE, PREFECT_UV_WHEELS=str(empty)), indexed)
    assert caught.value.render() == (
        f"error[offline-missing]: A wheel is missing from {empty}.\n\nprefect 3.8.8\n\n"
        "hint: Add the wheels (with `uv export`, then `pip download`), or unset PREFECT_UV_WHEELS to use an index."
    )
    assert environments(cache) == []


def test_wheel_with_another_hash_than_the_lock(
    indexed: Etl, make_store: Callable[..., EnvironmentStore], from_wheels: Mapping[str, str]
) -> None:
    """The lock's hashes are enforced."""
    build_wheel(indexed.wheels, "prefect", "3.8.8", {"prefect/__init__.py": "EVIL = True\n"})
    with pytest.raises(HashMismatchError):
        sync(make_store(**from_wheels), indexed)


def test_requirements_and_extra_packages_from_wheels(
    indexed: Etl, make_store: Callable[..., EnvironmentStore], from_wheels: Mapping[str, str]
) -> None:
    """They resolve to what the directory has; what it lacks is named."""
    build_wheel(indexed.wheels, "helper", "2.0", {"helper.py": ""})
    built: Environment = make_store(**from_wheels).environment(unlocked("prefect", "helper"))
    assert installed_versions(built.path)["helper"] == "2.0"
    extended = extend(make_store(**from_wheels), indexed, "helper==1.0")
    assert installed_versions(extended.path) == {"prefect": "3.8.8", "helper": "1.0"}
    for missing in ("helper==7", "nowhere"):
        with pytest.raises(OfflinePackageMissingError) as caught:
            extend(make_store(**from_wheels), indexed, missing)
        assert f"neither uv's cache nor the wheel directory has {missing}." in caught.value.headline


def test_new_wheel_is_found(
    indexed: Etl, make_store: Callable[..., EnvironmentStore], from_wheels: Mapping[str, str]
) -> None:
    """A changed directory is resolved again."""
    store = make_store(**from_wheels)
    assert installed_versions(store.environment(unlocked("prefect", "helper")).path)["helper"] == "1.0"
    build_wheel(indexed.wheels, "helper", "2.0", {"helper.py": ""})
    assert installed_versions(store.environment(unlocked("prefect", "helper")).path)["helper"] == "2.0"


def test_old_versions_are_used_offline(
    indexed: Etl, make_store: Callable[..., EnvironmentStore], server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    """However old they are, without a warning: no index could be asked."""
    assert indexed
    variables = {"UV_DEFAULT_INDEX": server.url, "PREFECT_UV_RESOLVE_DAYS": "0"}
    first = make_store(**variables).environment(unlocked("prefect"))
    server.on("GET /api/prefect/", Answer(500))
    assert make_store(**variables, **OFFLINE).environment(unlocked("prefect")).key == first.key
    assert "warning" not in capsys.readouterr().err
