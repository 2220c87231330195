"""From a fingerprint to a key: one small file, read on the warm path."""

from __future__ import annotations

import json
import time
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.volume.layout import Area

DAY = 86400.0


@dataclass(frozen=True)
class Known:
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
        return bool(self.resolved) and time.time() - self.resolved >= days * DAY


def stamp(python: str) -> str:
    """An interpreter's file by time and size; empty when there is none. Image layers keep whole seconds."""
    try:
        status = Path(python).stat()
    except OSError:
        return ""
    return f"{int(status.st_mtime)}-{status.st_size}"


def read(path: Path) -> Known | None:
    """An entry of the index, if there is one that we understand."""
    try:
        return Known(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def look_up(area: Area, fingerprint: str, trusted: Container[int]) -> Known | None:
    """The entry of a fingerprint, when somebody whom we trust wrote it and its interpreter is still the same."""
    path = area.index / fingerprint
    known = read(path)
    if known is None or path.stat().st_uid not in trusted or stamp(known.python) != known.stamp:
        return None
    return known


def write(area: Area, fingerprint: str, known: Known) -> None:
    """Remember an answer of uv."""
    area.write(area.index / fingerprint, json.dumps(vars(known)))
