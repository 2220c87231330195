"""Read users' TOML files without reporting mistakes in them, because uv reports those best."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Table = Mapping[str, Any]


def read_toml(path: Path) -> Table:
    """Read a file; empty if it does not exist or is not TOML."""
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError):
        return {}


def table_at(document: Table, *keys: str) -> Table:
    """The table below these keys; empty if there is none, or if it is not a table."""
    for key in keys:
        value = document.get(key)
        document = value if isinstance(value, Mapping) else {}
    return document


def strings(value: object) -> list[str]:
    """The strings in a list; other items are skipped. Empty if the value is not a list."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
