"""A path that is the same in every build, because uv caches what it knows of an interpreter by its path."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def stable_path(directory: Path) -> Iterator[Path]:
    """A link to a directory that has the same path in every build; the directory itself if no link can be made.

    Under a new path, uv would start the environment's interpreter to query it in every build.

    uv 0.13.8: caches what it knows of an interpreter by the path that it is given, links and all, and the resolved one
    (covered by test_uv_asks_an_interpreter_once).
    https://github.com/astral-sh/uv/blob/0.13.8/crates/uv-python/src/interpreter.rs (cache_entry)
    """
    link = _make_link(directory.absolute())
    try:
        yield link or directory
    finally:
        if link:
            link.unlink(missing_ok=True)


def _make_link(directory: Path) -> Path | None:
    """A link with the first free number, because one container may run two builds; None if none can be made."""
    with suppress(OSError):
        for number in itertools.count():
            link = Path(tempfile.gettempdir(), f"prefect-uv-build-{number}")
            with suppress(FileExistsError):
                link.symlink_to(directory)
                return link
    return None
