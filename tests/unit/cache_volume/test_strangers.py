"""What users who are not trusted have written on the volume is not used, in any of its areas."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.cache_volume.uv_cache import choose_uv_cache, safe_uv_cache
from prefect_uv.environments import EnvironmentStore
from prefect_uv.environments.build.recent_failures import RecentFailure
from prefect_uv.environments.key.fingerprint_index import IndexEntry, look_up_entry, write_entry
from prefect_uv.environments.policy.policy import Policy
from prefect_uv.environments.policy.verdict import Verdict, look_up_verdict
from prefect_uv.errors import SyncError
from prefect_uv.log.mask import Mask
from tests.unit.etl import Etl, sync

STRANGER = 4711
KEY = "0f" * 32


def chown(path: Path) -> None:
    """Give a file or link to a stranger."""
    os.chown(path, STRANGER, 0, follow_symlinks=False)


def replace_by_link(path: Path) -> None:
    """Put a link to the same content in the place of a file or directory."""
    moved = path.rename(path.parents[2] / "moved")
    path.symlink_to(moved)


@pytest.mark.parametrize("change", [chown, replace_by_link])
def test_answer_of_a_stranger(cache_directory: CacheDirectory, change: Callable[[Path], None]) -> None:
    """An entry of the fingerprint index, a failed build or a verdict counts only if a trusted user wrote it."""
    write_entry(cache_directory, KEY, IndexEntry.of("key", "etl", "/usr/bin/python3"))
    failure = RecentFailure.of(cache_directory, KEY, "inputs", {})
    failure.remember(SyncError("It failed."), Mask())
    assert look_up_entry(cache_directory, KEY)
    assert failure.recall()
    change(cache_directory.index / KEY)
    assert look_up_entry(cache_directory, KEY) is None
    change(failure.path)
    assert failure.recall() is None
    policy = Policy()
    Verdict().write(cache_directory, KEY, policy)
    assert look_up_verdict([cache_directory], KEY, policy)
    change(cache_directory.verdicts / f"{KEY}-{policy.digest}")
    assert look_up_verdict([cache_directory], KEY, policy) is None


UV_FILES = ("archive-v0/id/module.py", "git-v0/db/id/config", "simple-v1/pypi/package.rkyv", "wheels-v1/pypi/package/x")


@pytest.mark.parametrize(
    "place", [".", *UV_FILES[1:], "archive-v0", "archive-v0/id", "git-v0", "git-v0/db/id", "wheels-v1/pypi"]
)
def test_uv_cache_of_a_stranger(cache_directory: CacheDirectory, place: str) -> None:
    """uv gets a cache of our own if a stranger owns anything in the shared one that decides what is installed."""
    shared = cache_directory.uv_cache
    for name in UV_FILES:
        (shared / name).parent.mkdir(parents=True, exist_ok=True)
        (shared / name).touch()
    assert safe_uv_cache(cache_directory, shared) == choose_uv_cache(cache_directory, "0.13") == shared
    chown(shared / place)
    own = shared.with_name(f"uv-0.13.{os.geteuid()}")
    assert safe_uv_cache(cache_directory, shared) == own
    assert choose_uv_cache(cache_directory, "0.13") == (own if place == "." else shared)
    own.mkdir()
    assert choose_uv_cache(cache_directory, "0.13") == own
    chown(own)
    assert choose_uv_cache(cache_directory, "0.13") == (own if place == "." else shared)


def test_link_to_a_bucket_of_uv(cache_directory: CacheDirectory, tmp_path: Path) -> None:
    """A link in the place of one of its directories makes a cache useless, too."""
    (cache_directory.uv_cache / "archive-v0").symlink_to(tmp_path)
    assert safe_uv_cache(cache_directory, cache_directory.uv_cache) != cache_directory.uv_cache


def test_build_with_a_stranger_in_uvs_cache(
    etl: Etl, cache: Path, make_store: Callable[..., EnvironmentStore], capsys: pytest.CaptureFixture[str]
) -> None:
    """The environment has no file of the stranger, and later starts use our own cache without a warning."""
    first = sync(make_store(), etl)
    cache.chmod(0o755)
    (shared,) = cache.glob("uv-*")
    (archive,) = (path for path in shared.glob("archive-*/*") if (path / "prefect").is_dir())
    for path in (archive, *archive.rglob("*")):
        chown(path)
    os.close(first.lease)
    first.path.rename(cache / "gone")
    capsys.readouterr()
    built = sync(make_store(), etl)
    own = shared.with_name(f"{shared.name}.{os.geteuid()}")
    assert f"{shared} has links, or files of users who are not in PREFECT_UV_CACHE_TRUST: using {own}" in (
        capsys.readouterr().err
    )
    assert built.uv_cache == own
    assert {path.lstat().st_uid for path in built.path.rglob("*")} == {os.geteuid()}
    assert sync(make_store(), etl).uv_cache == own
    assert capsys.readouterr().err == ""


def test_uv_cache_that_others_write_in(cache_directory: CacheDirectory) -> None:
    """Files and directories of uv that come and go meanwhile are no findings."""
    shared = cache_directory.uv_cache
    shared.mkdir(parents=True, exist_ok=True)
    ended = threading.Event()

    def come_and_go() -> None:
        while not ended.is_set():
            for name in (".tmpA", ".tmpB", "wheels-v1"):
                (shared / name / "part").mkdir(parents=True)
            for name in (".tmpA", ".tmpB", "wheels-v1"):
                shutil.rmtree(shared / name)

    thread = threading.Thread(target=come_and_go, name="uv")
    thread.start()
    try:
        assert {safe_uv_cache(cache_directory, shared) for _ in range(3_000)} == {shared}
    finally:
        ended.set()
        thread.join()
