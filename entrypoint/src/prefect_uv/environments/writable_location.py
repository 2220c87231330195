"""Where environments are built: in the cache directory, or in a private directory if that cannot be used."""

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
    """The environments of a cache directory. We trust ourselves, root, its owner, and the users in the settings."""
    users_cache = settings.environ.get("UV_CACHE_DIR")
    uv_cache = Path(users_cache) if users_cache else root / f"uv-{image.uv_minor}"
    owner = {root.stat().st_uid} if root.exists() else set()
    trusted = frozenset({0, os.geteuid(), *owner, *settings.cache_trust})
    return PublishedEnvironments(CacheDirectory(root, uv_cache, read_only), trusted)


def writable_environments(settings: Settings, image: Image, log: RunLog) -> PublishedEnvironments:
    """The cache directory's environments, or those of a new private directory in the container.

    Raises:
        VolumeUnusableError: neither is possible.
    """
    root = settings.cache_dir
    reason = _reason_not_writable(environments_at(root, settings, image, read_only=settings.cache_readonly).cache)
    if not reason:
        return environments_at(root, settings, image, read_only=False)
    environ = settings.environ
    for parent in (environ.get("TMPDIR", "/tmp"), environ.get("HOME", "/"), str(Path.cwd())):  # noqa: S108
        if os.access(parent, os.W_OK) and is_executable(Path(parent)):
            directory = Path(tempfile.mkdtemp(prefix="prefect-uv-store-", dir=parent))
            private = environments_at(directory, settings, image, read_only=False)
            private.cache.prepare()
            log.warning(f"{root} {reason}: environments that it lacks are built in {parent}, for this run only")
            return private
    raise VolumeUnusableError(
        f"There is nowhere to build an environment: {root} {reason}.",
        "None of the temporary, home and working directories is both writable and executable.",
        f"Mount a volume at {root} that uid {os.geteuid()} or group 0 can write to, without noexec.",
    )


def _reason_not_writable(cache: CacheDirectory) -> str:
    """Why nothing can be built in a cache directory; empty if it can, or if only room is lacking."""
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
    directories = (cache.environments, cache.index, cache.locks, cache.failures, cache.uv_cache)
    if closed := next((path for path in directories if not os.access(path, os.W_OK)), None):
        return f"is not writable at {closed.relative_to(cache.root)}"
    return "" if is_executable(cache.root) else "is mounted noexec"


@contextmanager
def full_disk_as_error(root: Path) -> Iterator[None]:
    """Turn the system's errors about a full disk into ours.

    Raises:
        VolumeFullError: no space, or no quota, is left.
    """
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
