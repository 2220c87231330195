"""Which of uv's caches on the volume is used: one in which only users whom we trust have written.

uv links files from its cache into environments, runs git in the repositories there, and believes what it has noted
about indexes, no matter who wrote it. So before anything is built, we look at who owns what is there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from prefect_uv.cache_volume.volume import Volume

# uv 0.13.8: where each unpacked wheel has a directory. https://docs.astral.sh/uv/concepts/cache/#cache-directory
ARCHIVES = "archive-"


def choose_uv_cache(volume: Volume, minor: str) -> Path:
    """The cache for a minor version of uv: our own if we have one, else the shared one."""
    shared, own = volume.places(volume.root / f"uv-{minor}")
    return own if volume.trusts(own) or volume.distrust(shared) else shared


def safe_uv_cache(volume: Volume, uv_cache: Path) -> Path:
    """The cache itself, or our own in its place if somebody else has written in it."""
    if not uv_cache.is_relative_to(volume.root) or not uv_cache.is_dir():
        return uv_cache
    trusted = not volume.distrust(uv_cache) and all(owner in volume.trusted for owner in _owners(uv_cache))
    return uv_cache if trusted else volume.places(uv_cache)[1]


def _owners(uv_cache: Path) -> Iterator[int | None]:
    """Yield the owner of all that is in a cache, but for the files of wheels; None for a link in place of a bucket.

    What is deleted meanwhile, and what we may not read, is left out.
    """
    with suppress(FileNotFoundError), os.scandir(uv_cache) as buckets:
        for bucket in buckets:
            with suppress(FileNotFoundError):
                yield None if bucket.is_symlink() else bucket.stat().st_uid
                if bucket.is_dir(follow_symlinks=False):
                    yield from _owners_below(bucket.path, deep=not bucket.name.startswith(ARCHIVES))


def _owners_below(directory: str, *, deep: bool) -> Iterator[int]:
    with suppress(FileNotFoundError, PermissionError), os.scandir(directory) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                yield entry.stat(follow_symlinks=False).st_uid
                if deep and entry.is_dir(follow_symlinks=False):
                    yield from _owners_below(entry.path, deep=True)
