"""Leftovers: what is garbage under any limits, such as the directories of builders that were killed."""

from __future__ import annotations

from contextlib import suppress

from prefect_uv.cache_volume.cache_directory import (
    BUILD_NAME,
    CODE_NAME,
    DAY_SECONDS,
    KEY_NAME,
    SMALL_FILE_NAME,
    TRASH_NAME,
    CacheDirectory,
)
from prefect_uv.cache_volume.work_lock import is_abandoned
from prefect_uv.environments.build.builder import BUILD_LOCK
from prefect_uv.environments.key import fingerprint_index
from prefect_uv.environments.plan.interpreter import discard_unused_interpreters

MARGIN_SECONDS = DAY_SECONDS
SMALL_FILE_DAYS = 30


def remove_leftovers(cache: CacheDirectory) -> None:
    """Remove abandoned builds, dangling index entries, unused interpreters."""
    now = cache.now()
    for build in cache.entries(cache.builds, BUILD_NAME):
        if not build.is_symlink() and is_abandoned(build / BUILD_LOCK, now):
            with suppress(OSError):
                cache.discard(build)
    there = (*cache.environments.iterdir(), *cache.archives.glob("*"))
    keys = {path.name.partition(".")[0] for path in there}
    for entry in cache.entries(cache.index, KEY_NAME):
        content = fingerprint_index.read_entry(entry)
        if content is None or content.key not in keys:
            cache.delete(entry)
    for snapshot in cache.entries(cache.root / "tmp", TRASH_NAME):  # earlier releases made mirrors' snapshots there
        if snapshot.lstat().st_mtime < now - MARGIN_SECONDS:
            cache.delete(snapshot)
    discard_unused_interpreters(cache, now - MARGIN_SECONDS)
    remove_old_files(cache)
    empty_trash(cache)


def remove_old_files(cache: CacheDirectory) -> None:
    """Remove small files that were written long ago: who still needs one writes it again."""
    before = cache.now() - SMALL_FILE_DAYS * DAY_SECONDS
    for directory in (cache.index, cache.failures, cache.verdicts, cache.locks, cache.builds):
        for path in cache.entries(directory, SMALL_FILE_NAME):
            with suppress(OSError):
                if not path.is_dir() and path.lstat().st_mtime < before:
                    cache.delete(path)


def forget_unused_code(cache: CacheDirectory, before: float) -> None:
    """Delete archives of code that no run has used since a time, by the volume's clock."""
    for archive in cache.entries(cache.code, CODE_NAME):
        with suppress(OSError):
            if archive.lstat().st_mtime < before:
                cache.delete(archive)


def empty_trash(cache: CacheDirectory) -> None:
    """Delete what has been discarded."""
    for path in cache.entries(cache.trash, TRASH_NAME):
        cache.delete(path)
