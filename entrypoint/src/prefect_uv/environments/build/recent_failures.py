"""Recent failures: a failed build is remembered for a minute, so that fifty containers do not all repeat it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress

from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.errors import OfflinePackageMissingError, SyncError
from prefect_uv.log.mask import Mask

REMEMBERED_SECONDS = 60.0
# uv 0.13.8: names the status. https://docs.astral.sh/uv/concepts/indexes/#ignoring-error-codes
_WRONG_CREDENTIALS = re.compile(r"\b(401|403)\b")


def remember_failure(cache: CacheDirectory, key: str, error: SyncError, mask: Mask) -> None:
    """Store why a build failed, unless the reason concerns this container only: its credentials or offline mode."""
    if not (_WRONG_CREDENTIALS.search(error.found) or isinstance(error, OfflinePackageMissingError)):
        value = {"slug": error.slug, "headline": mask(error.headline), "found": mask(error.found), "hint": error.hint}
        cache.write(cache.failures / key, json.dumps(value))


def recent_failure(cache: CacheDirectory, key: str) -> SyncError | None:
    """The error of a build that failed within the last minute, with the time of the next attempt; None if none did."""
    path = cache.failures / key
    try:
        written = path.lstat().st_mtime
        value = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    age = cache.now() - written
    if not 0 <= age < REMEMBERED_SECONDS or not cache.trusts(path):
        return None
    error_class = next((member for member in _with_subclasses(SyncError) if member.slug == value["slug"]), SyncError)
    again = (
        f"Another container got this error {age:.0f} s ago; the next attempt is in {REMEMBERED_SECONDS - age:.0f} s."
    )
    return error_class(value["headline"], f"{value['found']}\n\n{again}", value["hint"])


def forget_failure(cache: CacheDirectory, key: str) -> None:
    """Remove a failure once a build has succeeded."""
    with suppress(PermissionError):
        cache.delete(cache.failures / key)


def _with_subclasses(error_class: type[SyncError]) -> Iterator[type[SyncError]]:
    yield error_class
    for subclass in error_class.__subclasses__():
        yield from _with_subclasses(subclass)
