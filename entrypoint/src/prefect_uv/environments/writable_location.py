"""Where environments are built: in the cache directory, or in a private directory if that cannot be used."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from prefect_uv.cache_volume.cache_directory import CacheDirectory, is_executable
from prefect_uv.cache_volume.full_disk import is_disk_full
from prefect_uv.cache_volume.uv_cache import choose_uv_cache, safe_uv_cache
from prefect_uv.cache_volume.volume import LinkFoundError, Volume, users_of_volume
from prefect_uv.environments.published_environments import PublishedEnvironments
from prefect_uv.errors import VolumeUnusableError
from prefect_uv.image_facts import Image
from prefect_uv.log.run_log import RunLog
from prefect_uv.settings import Settings


def environments_at(root: Path, settings: Settings, image: Image, *, read_only: bool) -> PublishedEnvironments:
    """The environments of a cache directory."""
    volume = Volume(root, users_of_volume(root, settings.cache_trust))
    users_cache = settings.environ.get("UV_CACHE_DIR")
    uv_cache = Path(users_cache) if users_cache else choose_uv_cache(volume, image.uv_minor)
    return PublishedEnvironments(CacheDirectory(root, volume.trusted, uv_cache, read_only))


def writable_environments(settings: Settings, image: Image, log: RunLog) -> PublishedEnvironments:
    """The cache directory's environments, or those of a new private directory in the container.

    Raises:
        VolumeUnusableError: neither is possible.
    """
    root = settings.cache_dir
    reason = reason_not_writable(environments_at(root, settings, image, read_only=settings.cache_readonly).cache)
    if not reason:
        return _with_safe_uv_cache(environments_at(root, settings, image, read_only=False), log)
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


def _with_safe_uv_cache(published: PublishedEnvironments, log: RunLog) -> PublishedEnvironments:
    cache = published.cache
    uv_cache = safe_uv_cache(cache, cache.uv_cache)
    if uv_cache == cache.uv_cache:
        return published
    log.warning(
        f"{cache.uv_cache} has links, or files of users who are not in PREFECT_UV_CACHE_TRUST: using {uv_cache} instead"
    )
    return PublishedEnvironments(replace(cache, uv_cache=uv_cache))


def reason_not_writable(cache: CacheDirectory) -> str:
    """Why nothing can be built in a cache directory; empty if it can, or if only room is lacking."""
    if cache.read_only:
        return "is read-only (PREFECT_UV_CACHE_READONLY)"
    try:
        cache.prepare()
        with tempfile.TemporaryFile(dir=cache.builds):
            pass
    except LinkFoundError as error:
        return f"is not usable ({error.filename} {error.strerror})"
    except OSError as error:
        if is_disk_full(error):
            raise
        return f"is not writable ({error.strerror})"
    directories = (cache.environments, cache.index, cache.locks, cache.failures, cache.uv_cache)
    if closed := next((path for path in directories if not os.access(path, os.W_OK)), None):
        return f"is not writable at {closed.relative_to(cache.root)}"
    return "" if is_executable(cache.root) else "is mounted noexec"


@contextmanager
def links_as_error() -> Iterator[None]:
    """Turn the discovery of a link into an error of the catalogue.

    Raises:
        VolumeUnusableError: there is a link where a directory or file of ours should be.
    """
    try:
        yield
    except LinkFoundError as error:
        raise VolumeUnusableError(
            f"{error.filename} {error.strerror}.",
            "Nothing on the cache volume is written or deleted through a link.",
            "Remove the link, and find out who has put it there.",
        ) from None
