"""Garbage collection: removes leftovers, expired environments and mirrors, and whatever exceeds the size limit.

It removes nothing that is in use. It runs after the launch, so that no start waits for it, unless a build has filled
the disk: then it runs immediately, and the build continues.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.cache_volume.cache_directory import DAY_SECONDS, CacheDirectory, crosses_nodes
from prefect_uv.cache_volume.file_lock import exclusive_lock
from prefect_uv.cache_volume.lease import last_use, lock_if_unused
from prefect_uv.environments.build.bytecode_cache import forget_unused_bytecode
from prefect_uv.environments.garbage.disk_usage import (
    DiskUsage,
    environment_directories,
    gigabytes,
    measure_usage,
    mirror_directories,
    uv_caches,
)
from prefect_uv.environments.garbage.leftovers import (
    MARGIN_SECONDS,
    empty_trash,
    forget_unused_code,
    remove_leftovers,
)
from prefect_uv.log.run_log import RunLog
from prefect_uv.processes.subprocesses import run_command
from prefect_uv.settings import Settings

SHARE_OF_VOLUME = 0.8
# uv 0.13.8: holds a shared flock on this file while it runs. https://docs.astral.sh/uv/concepts/cache/#clearing-the-cache
UV_LOCK = ".lock"


@dataclass(frozen=True)
class Limits:
    """How much may stay, and for how long.

    Attributes:
        size: bytes that the cache directory may use.
        age: seconds after which an unused environment is removed.
        margin: seconds for which an environment stays after its last use even if its lease is free.
    """

    size: int
    age: float
    margin: float


def collect_garbage(
    cache: CacheDirectory, settings: Settings, log: RunLog, *, make_room: bool = False, everything: bool = False
) -> int:
    """Remove leftovers, then what has expired, then what exceeds the size limit.

    Args:
        cache: the cache directory.
        settings: with `cache_limit` and `cache_days`.
        log: gets one line about what was removed, if anything was.
        make_room: reduce the cache directory to half its present size, or to its limit if that is less.
        everything: remove all that is not in use; on a network file system, not what was used within a day.

    Returns:
        the number of bytes that were freed; 0 if another process is collecting, or a stranger owns the trash.
    """
    cache.prepare()
    with exclusive_lock(cache.locks / "gc") as free:
        if not free:
            return 0
        if sentences := list(cache.not_collected(cache.areas)):
            log.warning(f"garbage is left alone in {len(sentences)} of {len(cache.areas)} directories: {sentences[0]}")
        if cache.distrust(cache.trash):
            return 0
        remove_leftovers(cache)
        unused = cache.now() - settings.cache_days * DAY_SECONDS
        forget_unused_bytecode(cache, unused)
        forget_unused_code(cache, cache.now() if everything else unused)
        usage = measure_usage(cache)
        before = usage.total
        limits = _limits(cache, settings, before, make_room=make_room, everything=everything)
        with exclusive_lock(cache.locks / "uv-cache") as nobody_builds:
            removed = _trim(cache, usage, limits, nobody_builds=nobody_builds)
        empty_trash(cache)
        if removed:
            log.info(
                f"garbage: removed {', '.join(removed)}; {gigabytes(usage.total)} in use, the limit is"
                f" {gigabytes(limits.size)}"
            )
        return before - usage.total


def prune_uv_cache(cache: CacheDirectory, environ: Mapping[str, str]) -> None:
    """Let uv remove its own leftovers, unless another uv uses its cache: pruning would wait for that.

    uv 0.13.8: removes links in its cache, and follows none except the one to the cache itself (covered by
    test_nothing_outside_is_changed). https://github.com/astral-sh/uv/blob/0.13.8/crates/uv-cache/src/removal.rs
    """
    lock = cache.uv_cache / UV_LOCK
    if not lock.exists() or (cache.uv_cache.is_relative_to(cache.root) and cache.distrust(cache.uv_cache)):
        return
    with exclusive_lock(lock) as free:
        pass
    if free:
        run_command(
            ["uv", "cache", "prune", "--quiet"],
            env={**environ, "UV_CACHE_DIR": str(cache.uv_cache), "UV_LOCK_TIMEOUT": "1"},
        )


def _limits(cache: CacheDirectory, settings: Settings, total: int, *, make_room: bool, everything: bool) -> Limits:
    disk = shutil.disk_usage(cache.root)
    size = settings.cache_limit or int((disk.free + total) * SHARE_OF_VOLUME)
    if make_room or everything:
        size = 0 if everything else min(size, total // 2)
    margin = MARGIN_SECONDS if crosses_nodes(cache.root) else 0.0
    return Limits(size, settings.cache_days * DAY_SECONDS, margin)


def _trim(cache: CacheDirectory, usage: DiskUsage, limits: Limits, *, nobody_builds: bool) -> list[str]:
    """Remove what has expired and what exceeds the size limit, least recently used first; returns phrases for the log.

    If dropping uv's caches is enough to meet the size limit, no environment is removed to meet it.
    """
    removed: Counter[str] = Counter()
    unlocked_caches = [uv_cache for uv_cache in uv_caches(cache) if nobody_builds and _is_unlocked(uv_cache)]
    now, needed = cache.now(), usage.total - usage.freed_by_removing(unlocked_caches)
    kinds = dict.fromkeys(mirror_directories(cache), "mirror(s)") | dict.fromkeys(
        environment_directories(cache), "environment(s)"
    )
    for path in sorted(kinds.keys() & usage.directories.keys(), key=last_use):
        idle = now - last_use(path)
        if idle < limits.margin or (needed <= limits.size and idle <= limits.age):
            continue
        if _discard_idle(cache, path):
            usage.remove(path)
            removed[kinds[path]] += 1
            needed = usage.total - usage.freed_by_removing(unlocked_caches)
    dropped = [
        uv_cache for uv_cache in unlocked_caches if usage.total > limits.size and _discard_uv_cache(cache, uv_cache)
    ]
    for uv_cache in dropped:
        usage.remove(uv_cache)
    if dropped and cache.bytecode.parent in usage.directories:
        cache.discard(cache.bytecode.parent)
        usage.remove(cache.bytecode.parent)
    return [f"{count} {kind}" for kind, count in removed.items()] + [
        f"uv's cache {uv_cache.name}" for uv_cache in dropped
    ]


def _discard_idle(cache: CacheDirectory, path: Path) -> bool:
    with lock_if_unused(path) as locked:
        if locked:
            with suppress(OSError):
                cache.discard(path)
                return True
        return False


def _discard_uv_cache(cache: CacheDirectory, uv_cache: Path) -> bool:
    """Discard a whole cache of uv if no uv uses it. Environments keep their hard links; uv downloads again."""
    with exclusive_lock(uv_cache / UV_LOCK) as free:
        if free:
            cache.discard(uv_cache)
        return free


def _is_unlocked(uv_cache: Path) -> bool:
    with exclusive_lock(uv_cache / UV_LOCK) as free:
        return free
