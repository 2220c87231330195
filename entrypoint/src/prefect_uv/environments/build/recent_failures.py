"""A failed build is remembered for a minute, so that fifty containers do not all repeat it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.errors import OfflineMissingError, SyncError
from prefect_uv.log.mask import masked

REMEMBERED_SECONDS = 60.0
_CREDENTIALS = re.compile(r"\b(401|403)\b")


def remember_failure(cache: CacheDirectory, key: str, error: SyncError) -> None:
    """Keep why a build failed; wrong credentials, or no network by its settings, are one container's matter."""
    if not (_CREDENTIALS.search(error.found) or isinstance(error, OfflineMissingError)):
        value = {"slug": error.slug, "headline": error.headline, "found": masked(error.found), "hint": error.hint}
        cache.write(cache.failures / key, json.dumps(value))


def recent_failure(cache: CacheDirectory, key: str) -> SyncError | None:
    """The error that another container met a moment ago, with the time until the next try."""
    path = cache.failures / key
    try:
        written = path.stat().st_mtime
        value = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    age = cache.now() - written
    if not 0 <= age < REMEMBERED_SECONDS:
        return None
    kind = next((one for one in _errors(SyncError) if one.slug == value["slug"]), SyncError)
    again = (
        f"Another container got this error {age:.0f} s ago; the next attempt is in {REMEMBERED_SECONDS - age:.0f} s."
    )
    return kind(value["headline"], f"{value['found']}\n\n{again}", value["hint"])


def forget_failure(cache: CacheDirectory, key: str) -> None:
    """A build succeeded."""
    (cache.failures / key).unlink(missing_ok=True)


def _errors(kind: type[SyncError]) -> Iterator[type[SyncError]]:
    yield kind
    for member in kind.__subclasses__():
        yield from _errors(member)
