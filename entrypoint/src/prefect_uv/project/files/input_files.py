"""The files that can change what is installed, with names that do not depend on where the checkout is."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from prefect_uv.project.files.pyproject import PYPROJECT

METADATA = (PYPROJECT, "setup.py", "setup.cfg")

InputFiles = tuple[tuple[str, bytes], ...]


def read_inputs(root: Path, files: Iterable[Path | None], projects: Iterable[Path] = ()) -> InputFiles:
    """Names and contents of the files, and of the metadata files of the projects. Files that do not exist are left out.

    Args:
        root: the directory that the names are relative to.
        files: paths; None is ignored.
        projects: directories.
    """
    paths = [*filter(None, files), *(project / name for project in projects for name in METADATA)]
    unique = dict.fromkeys(Path(os.path.normpath(path)) for path in paths)
    return tuple((f"/{os.path.relpath(path, root)}", path.read_bytes()) for path in unique if path.is_file())
