"""Patterns as people write them into settings and pyproject.toml: `packages/*`, `requirements/**/*.txt`, `.`."""

from __future__ import annotations

import glob
import os
from pathlib import Path


def paths_matching(directory: Path, pattern: str) -> list[Path]:
    """What a pattern stands for below a directory, in the order of names; an absolute one counts from the root.

    `pathlib` refuses some of the patterns that uv 0.13.8 takes: `.`, absolute ones, `**` within a name.
    """
    found = glob.glob(os.path.join(glob.escape(str(directory)), pattern), recursive=True, include_hidden=True)  # noqa: PTH118, PTH207
    return [Path(path) for path in sorted(found)]
