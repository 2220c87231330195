"""`prefect-uv cache`: list, prune or verify what is on the cache volume."""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.cache_volume.lease import last_use, lock_if_unused
from prefect_uv.environments.build.verification import mismatches
from prefect_uv.environments.garbage.disk_usage import (
    environment_directories,
    gigabytes,
    measure_usage,
    mirror_directories,
)
from prefect_uv.environments.garbage.garbage_collection import collect_garbage, prune_uv_cache
from prefect_uv.environments.key import fingerprint_index
from prefect_uv.environments.key.manifest import Manifest
from prefect_uv.environments.writable_location import environments_at, links_as_error
from prefect_uv.image_facts import Image
from prefect_uv.log.run_log import RunLog
from prefect_uv.session import Session

HOURS_FROM = 2  # a shorter time is shown in minutes
ROW = "{:14}{:>10}{:>12}  {:7}{:10}{}"


def cache(session: Session) -> int:
    """List the environments, remove what is not needed, or check every file.

    Returns:
        1 if `verify` found damage, else 0.
    """
    settings = session.settings
    directory = environments_at(settings.cache_dir, settings, Image.read(), read_only=False).cache
    if not directory.environments.is_dir():
        session.log.show(f"{directory.root} has no environments yet")
        return 0
    match session.options.action:
        case "prune":
            return _prune(directory, session)
        case "verify":
            return _verify(directory, session.log)
        case _:
            return _list_environments(directory, session.log)


def _list_environments(directory: CacheDirectory, log: RunLog) -> int:
    usage = measure_usage(directory)
    projects = _projects_by_key(directory)
    _row(log, "KEY", "SIZE", "LAST USE", "IN USE", "PYTHON", "FOR")
    for path in sorted(environment_directories(directory), key=last_use, reverse=True):
        python, purpose = _describe(path, projects[path.name])
        _row(log, path.name[:12], gigabytes(usage.size(path)), _ago(last_use(path)), _in_use(path), python, *purpose)
    if mirrors := mirror_directories(directory):
        log.show(f"{gigabytes(sum(map(usage.size, mirrors)))} in {len(mirrors)} repository mirror(s)")
    log.show(f"{gigabytes(usage.total)} in {directory.root}, counting hard-linked files once")
    return 0


def _prune(directory: CacheDirectory, session: Session) -> int:
    with links_as_error():
        freed = collect_garbage(directory, session.settings, session.log, everything=session.options.everything)
        prune_uv_cache(directory, session.settings.environ)
    session.log.show(f"freed {gigabytes(freed)}")
    return 0


def _verify(directory: CacheDirectory, log: RunLog) -> int:
    """Check every file; damaged environments are discarded, so the next run rebuilds them."""
    damaged = 0
    for path in sorted(environment_directories(directory)):
        manifest = Manifest.read(path)
        if not manifest:
            continue
        distributions = mismatches(path, manifest.contents, hashes=True)
        verdict = f"DAMAGED: {', '.join(distributions)}" if distributions else "intact"
        log.show(f"{path.name[:12]}  {verdict}")
        if distributions:
            damaged += 1
            directory.discard(path)
    return 1 if damaged else 0


def _describe(path: Path, projects: set[str]) -> tuple[str, list[str]]:
    """An environment's Python version, and the projects that it is for; `?` if it has no manifest."""
    manifest = Manifest.read(path)
    return (manifest.contents.python_version, sorted(projects | {manifest.project})) if manifest else ("?", [])


def _projects_by_key(directory: CacheDirectory) -> dict[str, set[str]]:
    """The names of the projects that have used each environment, by its key."""
    projects: dict[str, set[str]] = defaultdict(set)
    with suppress(FileNotFoundError):
        for entry in filter(None, map(fingerprint_index.read_entry, directory.index.iterdir())):
            projects[entry.key].add(entry.project)
    return projects


def _in_use(path: Path) -> str:
    with lock_if_unused(path) as free:
        return "-" if free else "yes"


def _ago(timestamp: float) -> str:
    minutes = int(max(time.time() - timestamp, 0) // 60)
    hours = minutes // 60
    return f"{minutes} min ago" if hours < HOURS_FROM else f"{hours} h ago"


def _row(log: RunLog, *values: str) -> None:
    log.show(ROW.format(*values[:5], ", ".join(values[5:])).rstrip())
