"""From a fingerprint to a key: one small file, read on the warm path."""

from __future__ import annotations

import json
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.store.layout import Area


@dataclass(frozen=True)
class Known:
    """What uv said of a fingerprint.

    Attributes:
        key: the environment.
        project: what it is for.
        python: the interpreter that was chosen.
        stamp: that interpreter's file, to notice another one at the same path.
    """

    key: str
    project: str
    python: str
    stamp: str


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
