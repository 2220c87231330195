"""From a fingerprint to a key: one small file, read on the warm path."""

from __future__ import annotations

import json
import time
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.cache_volume.cache_directory import CacheDirectory

DAY_SECONDS = 86400.0


@dataclass(frozen=True)
class IndexEntry:
    """What uv said of a fingerprint.

    Attributes:
        key: the environment.
        project: what it is for.
        python: the interpreter that was chosen.
        stamp: that interpreter's file, to notice another one at the same path.
        resolved: when versions were chosen that nothing pins, in seconds since the epoch; else nothing.
    """

    key: str
    project: str
    python: str
    stamp: str
    resolved: float = 0.0

    def is_stale(self, days: int) -> bool:
        """Whether versions were chosen so long ago that they are resolved anew."""
        return bool(self.resolved) and time.time() - self.resolved >= days * DAY_SECONDS


def file_stamp(python: str) -> str:
    """An interpreter's file by time and size; empty when there is none. Image layers keep whole seconds."""
    try:
        status = Path(python).stat()
    except OSError:
        return ""
    return f"{int(status.st_mtime)}-{status.st_size}"


def read_entry(path: Path) -> IndexEntry | None:
    """An entry of the index, if there is one that we understand."""
    try:
        return IndexEntry(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def look_up_entry(cache: CacheDirectory, fingerprint: str, trusted: Container[int]) -> IndexEntry | None:
    """The entry of a fingerprint, when somebody whom we trust wrote it and its interpreter is still the same."""
    path = cache.index / fingerprint
    known = read_entry(path)
    if known is None or path.stat().st_uid not in trusted or file_stamp(known.python) != known.stamp:
        return None
    return known


def write_entry(cache: CacheDirectory, fingerprint: str, known: IndexEntry) -> None:
    """Remember an answer of uv."""
    cache.write(cache.index / fingerprint, json.dumps(vars(known)))
