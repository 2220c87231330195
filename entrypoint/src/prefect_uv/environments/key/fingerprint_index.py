"""The fingerprint index: one small file per fingerprint, which names the environment that uv chose for it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.cache_volume.cache_directory import DAY_SECONDS, CacheDirectory


@dataclass(frozen=True)
class IndexEntry:
    """uv's answer for a fingerprint.

    Attributes:
        key: the environment's key.
        project: the project that asked, by name.
        python: the path of the interpreter that was chosen.
        stamp: the `file_stamp` of that interpreter, to notice another one at the same path.
        resolved: when unpinned versions were chosen, in seconds since the epoch; 0 if everything was pinned.
    """

    key: str
    project: str
    python: str
    stamp: str
    resolved: float = 0.0

    @classmethod
    def of(cls, key: str, project: str, python: str, resolved: float = 0.0) -> IndexEntry:
        """An entry with the interpreter's current stamp."""
        return cls(key, project, python, file_stamp(python), resolved)

    def is_stale(self, days: int) -> bool:
        """Whether unpinned versions were chosen so long ago that they must be resolved again."""
        return bool(self.resolved) and time.time() - self.resolved >= days * DAY_SECONDS


def file_stamp(path: str) -> str:
    """A file's time, in whole seconds as image layers keep it, and size; empty if there is no such file."""
    try:
        status = Path(path).stat()
    except OSError:
        return ""
    return f"{int(status.st_mtime)}-{status.st_size}"


def read_entry(path: Path) -> IndexEntry | None:
    """An entry of the index; None if there is none, or one in another format."""
    try:
        return IndexEntry(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def look_up_entry(cache: CacheDirectory, fingerprint: str) -> IndexEntry | None:
    """The entry of a fingerprint; None unless a trusted user wrote it and its interpreter is unchanged."""
    path = cache.index / fingerprint
    entry = read_entry(path)
    if entry is None or not cache.trusts(path) or file_stamp(entry.python) != entry.stamp:
        return None
    return entry


def write_entry(cache: CacheDirectory, fingerprint: str, entry: IndexEntry) -> None:
    """Remember uv's answer for a fingerprint."""
    cache.write(cache.index / fingerprint, json.dumps(vars(entry)))
