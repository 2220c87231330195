"""Garbage: what nobody needs goes, least recently used first, and never what somebody uses.

It runs after launch, or when a build found the disk full; never before a launch.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.process import run
from prefect_uv.runlog import RunLog
from prefect_uv.settings import Settings
from prefect_uv.store import index
from prefect_uv.store.build import CLAIM
from prefect_uv.store.bytecode import forget
from prefect_uv.store.python import sweep_pythons
from prefect_uv.store.usage import Usage, environments, gigabytes, measure, mirrors, uv_caches
from prefect_uv.volume.layout import Area, crosses_nodes
from prefect_uv.volume.lease import idle, last_use
from prefect_uv.volume.lock import alone, is_abandoned

DAY = 86400.0
MARGIN_SECONDS = DAY
SMALL_FILES_DAYS = 30
SHARE_OF_VOLUME = 0.8
UV_LOCK = ".lock"


@dataclass(frozen=True)
class Limits:
    """How much may stay, and how long.

    Attributes:
        size: bytes that the cache directory may hold.
        age: seconds after which an unused environment goes.
        margin: seconds after its last use in which an environment stays, whatever its lock says.
    """

    size: int
    age: float
    margin: float


def collect(area: Area, settings: Settings, log: RunLog, *, make_room: bool = False, everything: bool = False) -> int:
    """Remove garbage, then what is too old, then what is too much; `make_room` halves what is there.

    Returns:
        the number of bytes that were freed.
    """
    area.prepare()
    with alone(area.locks / "gc") as free:
        if not free:
            return 0
        sweep(area)
        forget(area.bytecode, area.now() - settings.cache_days * DAY)
        usage = measure(area)
        before = usage.total
        limits = _limits(area, settings, before, make_room=make_room, everything=everything)
        with alone(area.locks / "uv-cache") as nobody_builds:
            removed = _trim(area, usage, limits, nobody_builds=nobody_builds)
        _empty(area.trash)
        if removed:
            log.info(
                f"garbage: removed {', '.join(removed)}; {gigabytes(usage.total)} of {gigabytes(limits.size)} stay"
            )
        return before - usage.total


def sweep(area: Area) -> None:
    """Remove what is garbage whatever the limits are: leftovers of dead builders, entries that lead nowhere."""
    now = area.now()
    for build in area.builds.iterdir():
        if build.is_dir() and is_abandoned(build / CLAIM, now):
            with suppress(OSError):
                area.discard(build)
    keys = {path.name.partition(".")[0] for path in area.environments.iterdir()}
    for entry in area.index.iterdir():
        known = index.read(entry)
        if known is None or known.key not in keys:
            entry.unlink(missing_ok=True)
    sweep_pythons(area, now - MARGIN_SECONDS)
    for place in (area.index, area.failures, area.locks, area.builds):
        _remove_old_files(place, now - SMALL_FILES_DAYS * DAY)
    _empty(area.trash)


def prune_uv(area: Area, environ: Mapping[str, str]) -> None:
    """Let uv throw out its own leftovers; not while any uv is at work on that cache: it would wait for it."""
    lock = area.uv_cache / UV_LOCK
    if not lock.exists():
        return
    with alone(lock) as free:
        pass
    if free:
        run(
            ["uv", "cache", "prune", "--quiet"],
            env={**environ, "UV_CACHE_DIR": str(area.uv_cache), "UV_LOCK_TIMEOUT": "1"},
        )


def _limits(area: Area, settings: Settings, total: int, *, make_room: bool, everything: bool) -> Limits:
    disk = shutil.disk_usage(area.root)
    size = settings.cache_limit or int((disk.free + total) * SHARE_OF_VOLUME)
    if make_room or everything:
        size = 0 if everything else min(size, total // 2)
    margin = MARGIN_SECONDS if crosses_nodes(area.root) else 0.0
    return Limits(size, settings.cache_days * DAY, margin)


def _trim(area: Area, usage: Usage, limits: Limits, *, nobody_builds: bool) -> list[str]:
    """What is too old; then downloads that no environment uses; then environments and mirrors, least recently used."""
    removed: Counter[str] = Counter()
    caches = [cache for cache in uv_caches(area) if nobody_builds and _is_quiet(cache)]
    now, needed = area.now(), usage.total - usage.own(caches)
    kinds = dict.fromkeys(mirrors(area), "mirror(s)") | dict.fromkeys(environments(area), "environment(s)")
    for path in sorted(kinds.keys() & usage.places.keys(), key=last_use):
        unused = now - last_use(path)
        if unused < limits.margin or (needed <= limits.size and unused <= limits.age):
            continue
        if _discard_idle(area, path):
            usage.remove(path)
            removed[kinds[path]] += 1
            needed = usage.total - usage.own(caches)
    dropped = [cache for cache in caches if usage.total > limits.size and _discard_cache(area, cache)]
    for cache in dropped:
        usage.remove(cache)
    if dropped and area.bytecode.parent in usage.places:
        area.discard(area.bytecode.parent)
        usage.remove(area.bytecode.parent)
    return [f"{count} {kind}" for kind, count in removed.items()] + [f"uv's cache {cache.name}" for cache in dropped]


def _discard_idle(area: Area, path: Path) -> bool:
    with idle(path) as free:
        if free:
            with suppress(OSError):
                area.discard(path)
                return True
        return False


def _discard_cache(area: Area, cache: Path) -> bool:
    """uv's cache as a whole, when no uv uses it: environments keep their files, uv fetches what it misses."""
    with alone(cache / UV_LOCK) as free:
        if free:
            area.discard(cache)
        return free


def _is_quiet(cache: Path) -> bool:
    with alone(cache / UV_LOCK) as free:
        return free


def _remove_old_files(place: Path, before: float) -> None:
    for path in place.iterdir():
        with suppress(OSError):
            if path.is_file() and path.stat().st_mtime < before:
                path.unlink()


def _empty(trash: Path) -> None:
    for path in trash.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
