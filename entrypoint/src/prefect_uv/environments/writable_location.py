"""Where environments can be built: the cache directory, or a private place where that one does not serve."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect_uv.cache_volume.cache_directory import CacheDirectory, is_executable
from prefect_uv.environments.build.builder import DISK_FULL
from prefect_uv.environments.published_environments import PublishedEnvironments
from prefect_uv.errors import VolumeFullError, VolumeUnusableError
from prefect_uv.image_facts import Image
from prefect_uv.log.run_log import RunLog
from prefect_uv.settings import Settings


def environments_at(root: Path, settings: Settings, image: Image, *, read_only: bool) -> PublishedEnvironments:
    """An area, and whom we trust in it: ourselves, root, its owner, and whom the settings name."""
    own_cache = settings.environ.get("UV_CACHE_DIR")
    cache = CacheDirectory(root, Path(own_cache) if own_cache else root / f"uv-{image.uv_minor}", read_only)
    owner = {root.stat().st_uid} if root.exists() else set()
    return PublishedEnvironments(cache, frozenset({0, os.geteuid(), *owner, *settings.cache_trust}))


def writable_environments(settings: Settings, image: Image, log: RunLog) -> PublishedEnvironments:
    """The cache directory, or a private one in the container where that one cannot be used.

    Raises:
        VolumeUnusableError: there is no such place.
    """
    root = settings.cache_dir
    reason = _obstacle(environments_at(root, settings, image, read_only=settings.cache_readonly).cache)
    if not reason:
        return environments_at(root, settings, image, read_only=False)
    environ = settings.environ
    for place in (environ.get("TMPDIR", "/tmp"), environ.get("HOME", "/"), str(Path.cwd())):  # noqa: S108
        if os.access(place, os.W_OK) and is_executable(Path(place)):
            made = Path(tempfile.mkdtemp(prefix="prefect-uv-store-", dir=place))
            private = environments_at(made, settings, image, read_only=False)
            private.cache.prepare()
            log.warning(f"{root} {reason}: environments that it lacks are built in {place}, for this run only")
            return private
    raise VolumeUnusableError(
        f"There is nowhere to build an environment: {root} {reason}.",
        "None of the temporary, home and working directories is both writable and executable.",
        f"Mount a volume at {root} that uid {os.geteuid()} or group 0 can write to, without noexec.",
    )


def _obstacle(cache: CacheDirectory) -> str:
    """Why nothing can be built in an area; empty when it can. A full disk is not an obstacle: room can be made."""
    if cache.read_only:
        return "is read-only (PREFECT_UV_CACHE_READONLY)"
    try:
        cache.prepare()
        with tempfile.TemporaryFile(dir=cache.builds):
            pass
    except OSError as error:
        if error.errno in DISK_FULL:
            raise
        return f"is not writable ({error.strerror})"
    places = (cache.environments, cache.index, cache.locks, cache.failures, cache.uv_cache)
    if closed := next((place for place in places if not os.access(place, os.W_OK)), None):
        return f"is not writable at {closed.relative_to(cache.root)}"
    return "" if is_executable(cache.root) else "is mounted noexec"


@contextmanager
def full_disk_as_error(root: Path) -> Iterator[None]:
    """What the system says of a full disk becomes our error."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise VolumeFullError(
            f"No space is left on {root}.",
            str(error),
            "Enlarge the cache volume, or set PREFECT_UV_CACHE_LIMIT so that old environments are removed sooner.",
        ) from None
