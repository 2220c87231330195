"""Path patterns in settings and in pyproject.toml: `packages/*`, `requirements/**/*.txt`, `.`."""

from __future__ import annotations

import glob
import itertools
import os
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path


def paths_matching(directory: Path, pattern: str) -> list[Path]:
    """The paths below a directory that match a pattern, sorted; an absolute pattern starts at the root.

    `pathlib` refuses some of the patterns that uv takes: `.`, absolute ones, `**` within a name.
    uv 0.13.8: https://docs.rs/glob/latest/glob/struct.Pattern.html
    """
    found = glob.glob(os.path.join(glob.escape(str(directory)), pattern), recursive=True, include_hidden=True)  # noqa: PTH118, PTH207
    return [Path(path) for path in sorted(found)]


def is_excluded(path: Path, directory: Path, patterns: Iterable[str]) -> bool:
    """Whether an absolute path matches one of the patterns, relative to a directory, as uv excludes members.

    In contrast to `paths_matching`, the texts are compared: `*`, `?` and `[…]` match `/`, too, and `**/` stands for any
    number of directories.
    uv 0.13.8: `is_excluded_from_workspace` of https://github.com/astral-sh/uv/blob/0.13.8/crates/uv-workspace/src/workspace.rs
    """
    texts = (os.path.normpath(os.path.join(glob.escape(str(directory)), pattern)) for pattern in patterns)  # noqa: PTH118
    return any(fnmatchcase(str(path), variant) for text in texts for variant in _without_recursion(text))


def _without_recursion(pattern: str) -> Iterator[str]:
    """Yield the patterns that together mean the same, without `**/`."""
    first, *others = pattern.split("**/")
    for joints in itertools.product(("", "*/"), repeat=len(others)):
        yield first + "".join(joint + part for joint, part in zip(joints, others, strict=True))
