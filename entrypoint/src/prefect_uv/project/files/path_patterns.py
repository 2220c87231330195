"""Path patterns in settings and in pyproject.toml: `packages/*`, `requirements/**/*.txt`, `.`."""

from __future__ import annotations

import glob
import os
from pathlib import Path


def paths_matching(directory: Path, pattern: str) -> list[Path]:
    """The paths below a directory that match a pattern, sorted; an absolute pattern starts at the root.

    `pathlib` refuses some of the patterns that uv takes: `.`, absolute ones, `**` within a name.
    uv 0.13.8: https://docs.rs/glob/latest/glob/struct.Pattern.html
    """
    found = glob.glob(os.path.join(glob.escape(str(directory)), pattern), recursive=True, include_hidden=True)  # noqa: PTH118, PTH207
    return [Path(path) for path in sorted(found)]
