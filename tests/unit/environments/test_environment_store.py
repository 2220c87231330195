"""The environment store: a real uv builds environments once, offline, and they are found again."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_uv.environments import EnvironmentStore
from prefect_uv.environments.plan.locked_source import LockedSource
from prefect_uv.environments.uv.uv_command import Uv
from prefect_uv.errors import (
    EnvironmentDamagedError,
    HashMismatchError,
    IndexUnreachableError,
    LockfileStaleError,
    PackageNotFoundError,
    PrefectMissingError,
    ProjectInvalidError,
    PythonMissingError,
)
from tests.unit.etl import WHEEL, Etl, environments, leftovers, sync, sync_at_once
from tests.unit.http_server import Answer, Server, running_server

TOKEN = "s3cr3t-t0ken"  # noqa: S105 (planted, to look for it)


def no_uv(*_: object, **__: object) -> None:
    """Replaces uv where it must not be called."""
    message = "uv was called"
    raise AssertionError(message)


def test_build(etl: Etl, cache: Path, make_store: Callable[..., EnvironmentStore]) -> None:
    """A complete environment has its key as its name, nothing else is left, and its Python finds the packages."""
    environment = sync(make_store(), etl)
    assert environments(cache) == [environment.path]
    assert environment.path.name == environment.key
    assert (environment.hit, environment.prefect) == (False, "3.8.8")
    assert environment.note == f"miss {environment.key[:12]}"
    assert leftovers(cache) == []
    python = environment.path / "bin" / "python"
    answer = subprocess.run([python, "-m", "prefect.flow_engine"], check=True, capture_output=True, timeout=20)
    assert answer.stdout == b"engine\n"


def test_build_is_announced(etl: Etl, make_store: Callable[..., EnvironmentStore]) -> None:
    """Whoever has to make room is told before something is built, and not if the environment is there."""
    seen: list[list[Path]] = []
    for _ in range(2):
        store = make_store()
        store.before_build = lambda: seen.append([*store.volume.cache.environments.glob("*")])  # noqa: B023
        sync(store, etl)
    assert seen == [[]]


def test_checkout_is_not_changed(etl: Etl, make_store: Callable[..., EnvironmentStore]) -> None:
    """A build leaves no .venv and no new lock in the checkout."""
    before = {path: path.read_bytes() for path in etl.directory.rglob("*") if path.is_file()}
    sync(make_store(), etl)
    assert {path: path.read_bytes() for path in etl.directory.rglob("*") if path.is_file()} == before


def test_own_code_is_not_in_the_environment(etl: Etl, make_store: Callable[..., EnvironmentStore]) -> None:
    """It changes with each commit, so it is not installed."""
    names = [path.name for path in sync(make_store(), etl).path.glob("lib/*/site-packages/*")]
    assert not [name for name in names if name.startswith("etl")]


def test_second_start_hits_without_uv(
    etl: Etl, make_store: Callable[..., EnvironmentStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same inputs are found by their fingerprint, and uv is not even started."""
    first = sync(make_store(), etl)
    monkeypatch.setattr(Uv, "run", no_uv)
    second = sync(make_store(), etl)
    assert (second.hit, second.path, second.note) == (True, first.path, f"hit {first.key[:12]}")


def test_comment_changes_the_fingerprint_and_not_the_key(
    etl: Etl, cache: Path, make_store: Callable[..., EnvironmentStore]
) -> None:
    """An edit that changes no package finds the same environment."""
    first = sync(make_store(), etl)
    etl.write("prefect", comment="# a comment")
    second = sync(make_store(), etl)
    assert (second.hit, second.key) == (True, first.key)
    assert len(list((cache / "index" / "v1").iterdir())) == 2


def test_another_package_gives_another_environment(
    etl: Etl, cache: Path, make_store: Callable[..., EnvironmentStore]
) -> None:
    """A new dependency gives a second environment, and both stay."""
    first = sync(make_store(), etl)
    etl.write("prefect", "helper")
    etl.lock()
    second = sync(make_store(), etl)
    assert second.hit is False
    assert environments(cache) == sorted([first.path, second.path])


def test_deleted_environment_is_built_again(etl: Etl, make_store: Callable[..., EnvironmentStore]) -> None:
    """An index entry whose environment is gone does not stop the build."""
    first = sync(make_store(), etl)
    shutil.rmtree(first.path)
    again = sync(make_store(), etl)
    assert (again.hit, again.key) == (False, first.key)
    assert (again.path / "bin" / "python").exists()


@pytest.mark.parametrize("content", ["", "0" * 64])
def test_broken_index_entry_is_ignored(
    etl: Etl, cache: Path, make_store: Callable[..., EnvironmentStore], content: str
) -> None:
    """An entry that a crash has cut off is treated as missing."""
    first = sync(make_store(), etl)
    for entry in (cache / "index" / "v1").iterdir():
        entry.write_text(content)
    assert sync(make_store(), etl).key == first.key


def test_environment_is_held_in_use(etl: Etl, make_store: Callable[..., EnvironmentStore]) -> None:
    """Nobody can lock the environment exclusively while its lease is open."""
    environment = sync(make_store(), etl)
    with (environment.path / ".inuse").open("r+") as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(environment.lease)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_simultaneous_builders(
    etl: Etl, cache: Path, make_store: Callable[..., EnvironmentStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One builds; the others wait and use its environment."""
    builds: list[str] = []
    create_venv = Uv.create_venv

    def counted(self: Uv, python: str, environment: Path) -> None:
        builds.append(environment.name)
        create_venv(self, python, environment)

    monkeypatch.setattr(Uv, "create_venv", counted)
    obtained = sync_at_once(make_store, etl, 3)
    assert len(builds) == 1
    assert sorted(environment.hit for environment in obtained) == [False, True, True]
    assert len(environments(cache)) == 1


def _nothing_built(cache: Path) -> bool:
    return environments(cache) == [] and leftovers(cache) == [] and not list((cache / "index").rglob("*/*"))


def test_damaged_build_is_discarded(
    etl: Etl, cache: Path, make_store: Callable[..., EnvironmentStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If uv reports success but a file is missing, the error names it and nothing is published."""
    install = LockedSource.sync

    def broken(self: LockedSource, uv: Uv, python: str, environment: Path, link_mode: str) -> None:
        install(self, uv, python, environment, link_mode)
        next(environment.glob("lib/*/site-packages/prefect/flow_engine.py")).unlink()

    monkeypatch.setattr(LockedSource, "sync", broken)
    with pytest.raises(EnvironmentDamagedError) as caught:
        sync(make_store(), etl)
    assert caught.value.found.startswith("prefect: ")
    assert caught.value.found.endswith("prefect/flow_engine.py")
    assert _nothing_built(cache)


def test_package_that_is_gone(
    etl: Etl, cache: Path, make_store: Callable[..., EnvironmentStore], server: Server
) -> None:
    """If the index no longer has a locked file, the error has uv's words and nothing of the build stays."""
    etl.move_to(server)
    server.on(f"GET /api/prefect/{WHEEL}", Answer(404))
    with pytest.raises(PackageNotFoundError) as caught:
        sync(make_store(), etl)
    assert f"{server.url}/prefect/{WHEEL}" in caught.value.found
    assert _nothing_built(cache)


def test_hash_mismatch(etl: Etl, cache: Path, make_store: Callable[..., EnvironmentStore], server: Server) -> None:
    """A file that differs from the locked one is refused."""
    etl.move_to(server)
    etl.edit_lock(r"sha256:\w{4}", "sha256:0000")
    with pytest.raises(HashMismatchError) as caught:
        sync(make_store(), etl)
    assert "Hash mismatch" in caught.value.found
    assert _nothing_built(cache)


def test_index_that_is_down(etl: Etl, cache: Path, make_store: Callable[..., EnvironmentStore]) -> None:
    """If the index does not answer, the error says so and nothing of the build stays."""
    with running_server() as index:
        etl.move_to(index)
    with pytest.raises(IndexUnreachableError) as caught:
        sync(make_store(UV_HTTP_RETRIES="0"), etl)
    assert "Connection refused" in caught.value.found
    assert _nothing_built(cache)


def test_stale_lock_is_refused(etl: Etl, cache: Path, make_store: Callable[..., EnvironmentStore]) -> None:
    """A stale lock is refused before anything is built."""
    etl.write("prefect", "helper")
    with pytest.raises(LockfileStaleError) as caught:
        sync(make_store(), etl)
    assert "PREFECT_UV_LOCK=frozen" in caught.value.hint
    assert _nothing_built(cache)


def test_stale_lock_by_policy(etl: Etl, make_store: Callable[..., EnvironmentStore]) -> None:
    """`frozen` installs what uv.lock says; `relock` locks again and says so."""
    etl.write("prefect", "helper")
    frozen = sync(make_store(PREFECT_UV_LOCK="frozen"), etl)
    assert not list(frozen.path.glob("lib/*/site-packages/helper.py"))
    relocked = sync(make_store(PREFECT_UV_LOCK="relock"), etl)
    assert list(relocked.path.glob("lib/*/site-packages/helper.py"))


@pytest.mark.parametrize("dependencies", [[], ["helper"], ["prefect ; sys_platform == 'win32'"]])
def test_prefect_missing(
    etl: Etl, cache: Path, make_store: Callable[..., EnvironmentStore], dependencies: list[str]
) -> None:
    """A lock without Prefect, or with one that is not for this platform, is refused before anything is built."""
    etl.write(*dependencies)
    etl.lock()
    with pytest.raises(PrefectMissingError) as caught:
        sync(make_store(), etl)
    assert caught.value.headline == "Prefect is not among the project's locked dependencies."
    assert _nothing_built(cache)


def test_dev_dependencies_are_left_out(etl: Etl, make_store: Callable[..., EnvironmentStore]) -> None:
    """They are for the developer."""
    path = etl.directory / "pyproject.toml"
    path.write_text(path.read_text() + '\n[dependency-groups]\ndev = ["helper"]\n')
    etl.lock()
    assert not list(sync(make_store(), etl).path.glob("lib/*/site-packages/helper.py"))


def test_python_that_the_image_has_not(etl: Etl, cache: Path, make_store: Callable[..., EnvironmentStore]) -> None:
    """A pinned version that is nowhere is refused, naming what there is."""
    (etl.directory / ".python-version").write_text("3.99\n")
    with pytest.raises(PythonMissingError) as caught:
        sync(make_store(), etl)
    assert caught.value.headline == ".python-version asks for Python 3.99, which is not available here."
    assert _nothing_built(cache)


def test_python_that_the_project_refuses(etl: Etl, cache: Path, make_store: Callable[..., EnvironmentStore]) -> None:
    """requires-python excludes the image's."""
    etl.write("prefect", requires_python=">=3.99")
    etl.edit_lock('requires-python = ".*"', 'requires-python = ">=3.99"')
    with pytest.raises(PythonMissingError):
        sync(make_store(), etl)
    assert _nothing_built(cache)


@pytest.mark.parametrize("name", ["pyproject.toml", "uv.lock"])
def test_broken_file(etl: Etl, cache: Path, make_store: Callable[..., EnvironmentStore], name: str) -> None:
    """Files that uv cannot read are the user's to fix."""
    (etl.directory / name).write_text("<<<<<<< HEAD\n")
    with pytest.raises(ProjectInvalidError):
        sync(make_store(), etl)
    assert _nothing_built(cache)


def test_unwritable_volume(
    etl: Etl,
    make_store: Callable[..., EnvironmentStore],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """There is one warning, and the environment is built in a private directory."""
    store = make_store(PREFECT_UV_CACHE_DIR="/proc/cache", TMPDIR=str(tmp_path))
    environment = sync(store, etl)
    assert (environment.path / "bin" / "python").exists()
    assert environment.path.is_relative_to(tmp_path)
    warnings = [line for line in capsys.readouterr().err.splitlines() if "warning: " in line]
    assert len(warnings) == 1
    assert warnings[0].startswith("prefect-uv: warning: /proc/cache is not writable (")


def test_credentials_are_in_no_file(
    etl: Etl, cache: Path, make_store: Callable[..., EnvironmentStore], capsys: pytest.CaptureFixture[str]
) -> None:
    """A token in an index address or in its own variable is neither on the volume nor on stderr."""
    variables = {"UV_INDEX": f"private=https://bot:{TOKEN}@index.invalid/simple", "UV_INDEX_PRIVATE_PASSWORD": TOKEN}
    sync(make_store(PREFECT_UV_LOCK="frozen", **variables), etl)
    assert TOKEN not in capsys.readouterr().err
    files = [path for path in cache.rglob("*") if path.is_file() and not path.is_symlink()]
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]


def test_byte_order_mark_in_pyproject(etl: Etl, make_store: Callable[..., EnvironmentStore]) -> None:
    """Editors on Windows write one; uv ignores it, and so do we."""
    path = etl.directory / "pyproject.toml"
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert sync(make_store(), etl).path.exists()


def test_shared_files_are_writable_for_the_group(
    etl: Etl, cache: Path, make_store: Callable[..., EnvironmentStore]
) -> None:
    """Arbitrary uids share group 0, so that a container can use the lock and index files of another."""
    store = make_store()
    sync(store, etl)
    store.volume.cache.now()
    files = [path for name in ("index", "locks", "failed") for path in (cache / name).rglob("*")]
    assert files
    assert [path for path in files if not path.stat().st_mode & 0o020] == []
