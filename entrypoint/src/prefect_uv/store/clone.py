"""A start from an environment that is nearly the same: hard links, minus what will change.

What stays keeps its bytecode. uv 0.13.8 never writes into an installed file in any link mode (tried: it replaces), and
what will change is unlinked here before uv runs, so the other environment is not touched.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from prefect_uv.store.verify import distributions, record

NO_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP}
BYTECODE_UNDER_WAY = re.compile(r"\.pyc\.\d+$")


def clone(source: Path, target: Path) -> None:
    """Link a tree; the files beside `bin` and `lib` belong to one environment and are copied or left out."""
    target.mkdir()
    shutil.copy2(source / "pyvenv.cfg", target)
    for name in (".gitignore", "CACHEDIR.TAG"):
        if (source / name).exists():
            shutil.copy2(source / name, target)
    for entry in os.scandir(source):
        if entry.is_symlink():
            (target / entry.name).symlink_to(Path(entry).readlink())
        elif entry.is_dir() and not entry.name.startswith("."):
            _link_tree(entry.path, str(target / entry.name))


def remove(environment: Path, names: Iterable[str]) -> None:
    """Uninstall packages: their files, the bytecode of their modules, and the directories that this empties."""
    installed = distributions(environment)
    for distribution in (installed[name] for name in names if name in installed):
        files = [path for path, _, _ in record(distribution)]
        for path in files:
            path.unlink(missing_ok=True)
            _remove_bytecode(path)
        shutil.rmtree(distribution, ignore_errors=True)
        _remove_empty({path.parent for path in files}, environment)


def _link_tree(source: str, target: str) -> None:
    """Thousands of files: by strings, which take half the time of paths."""
    os.mkdir(target)  # noqa: PTH102
    for entry in os.scandir(source):
        place = f"{target}/{entry.name}"
        if entry.is_symlink():
            os.symlink(os.readlink(entry), place)  # noqa: PTH115, PTH211
        elif entry.is_dir():
            _link_tree(entry.path, place)
        elif not BYTECODE_UNDER_WAY.search(entry.name):
            link(entry.path, place)


def link(source: str, target: str) -> None:
    """A hard link; a copy where none is possible, as from the image to a volume."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in NO_LINK:
            raise
        shutil.copy2(source, target)


def _remove_bytecode(path: Path) -> None:
    if path.suffix == ".py":
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            compiled.unlink()


def _remove_empty(directories: Iterable[Path], environment: Path) -> None:
    """Remove empty directories upwards, the deepest first; one that another package uses stays."""
    for directory in sorted({place.resolve() for place in directories}, key=lambda place: -len(place.parts)):
        place = directory
        while place.is_relative_to(environment.resolve() / "lib"):
            with suppress(OSError):
                (place / "__pycache__").rmdir()
            try:
                place.rmdir()
            except OSError:
                break
            place = place.parent
