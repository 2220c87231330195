"""A start from an environment that is nearly the same: hard links to all but what will change.

What stays keeps its bytecode. uv 0.13.8 never writes into an installed file in any link mode (tried: it replaces), and
what will change is not linked, so the other environment is not touched.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

from prefect_uv.environments.build.verification import distributions, read_record

NO_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP}
BYTECODE_UNDER_WAY = re.compile(r"\.pyc\.\d+$")


def clone_environment(source: Path, target: Path, without: Iterable[str] = ()) -> None:
    """Link a tree but for some packages; files beside `bin` and `lib` are one environment's own: copied or left out.

    Nothing is linked to be unlinked again: where many inodes have just become free, ext4 looks long for one to use.
    """
    target.mkdir()
    source = source.resolve()
    left_out = frozenset(_belongings(source, without))
    shutil.copy2(source / "pyvenv.cfg", target)
    for name in (".gitignore", "CACHEDIR.TAG"):
        if (source / name).exists():
            shutil.copy2(source / name, target)
    for entry in os.scandir(source):
        if entry.is_symlink():
            (target / entry.name).symlink_to(Path(entry).readlink())
        elif entry.is_dir() and not entry.name.startswith("."):
            _link_tree(entry.path, str(target / entry.name), left_out)


def _belongings(environment: Path, names: Iterable[str]) -> Iterator[str]:
    """What is in an environment of some packages: their files, and the bytecode of their modules."""
    installed = distributions(environment)
    for distribution in (installed[name] for name in names if name in installed):
        yield str(distribution)
        for path in (os.path.normpath(path) for path, _, _ in read_record(distribution)):
            yield path
            if path.endswith(".py"):
                module = Path(path)
                yield from map(str, (module.parent / "__pycache__").glob(f"{module.stem}.*.pyc"))


def _link_tree(source: str, target: str, left_out: Container[str]) -> None:
    """Thousands of files: by strings, which take half the time of paths; directories are made for what is in them."""
    made = set()
    for entry in files_below(source, left_out):
        place = target + entry.path.removeprefix(source)
        parent = place.rpartition("/")[0]
        if parent not in made:
            os.makedirs(parent, exist_ok=True)  # noqa: PTH103
            made.add(parent)
        if entry.is_symlink():
            os.symlink(os.readlink(entry), place)  # noqa: PTH115, PTH211
        else:
            link_or_copy(entry.path, place)


def files_below(directory: str, left_out: Container[str] = ()) -> Iterator[os.DirEntry[str]]:
    """Every file and link below a directory, but for what is left out and for bytecode that is being written."""
    for entry in os.scandir(directory):
        if entry.path in left_out or BYTECODE_UNDER_WAY.search(entry.name):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from files_below(entry.path, left_out)
        else:
            yield entry


def link_or_copy(source: str, target: str) -> None:
    """A hard link; a copy where none is possible, as from the image to a volume."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in NO_LINK:
            raise
        shutil.copy2(source, target)
