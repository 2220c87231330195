"""Cloning an environment by hard links, without the files that will change.

Unchanged packages keep their bytecode. The other environment is not touched, because what will change is not linked,
and uv never writes into an installed file.

uv 0.13.8: replaces installed files by a rename, in every link mode (covered by
test_running_environment_is_not_disturbed).
https://github.com/astral-sh/uv/blob/0.13.8/crates/uv-fs/src/link.rs
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

from prefect_uv.environments.build.shared_files import with_sharing_packages
from prefect_uv.environments.build.verification import distributions, read_record
from prefect_uv.processes.signals import raise_noted_signal

NO_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP}
# CPython 3.9 to 3.14: writes bytecode to NAME.pyc.NUMBER and renames it (_write_atomic).
# https://github.com/python/cpython/blob/3.13/Lib/importlib/_bootstrap_external.py
UNFINISHED_BYTECODE = re.compile(r"\.pyc\.\d+$")


def clone_environment(source: Path, target: Path, without: Iterable[str] = ()) -> None:
    """Link an environment's directories to a new place.

    The files at its top are each environment's own: uv's are copied, all others left out. Files of excluded packages
    are not linked and removed again, because on some disks freed inodes slow down the creation of files.

    uv 0.13.8: the files at the top. https://github.com/astral-sh/uv/blob/0.13.8/crates/uv-virtualenv/src/virtualenv.rs
    Linux 6.12: ext4 without a journal skips inodes freed within the last minute, one by one (recently_deleted).
    https://github.com/torvalds/linux/blob/v6.12/fs/ext4/ialloc.c

    Args:
        source: the environment to clone.
        target: where to; must not exist.
        without: names of packages to leave out, with their bytecode. Packages that share a file with one of them are
            left out, too, because the file may not be theirs.
    """
    target.mkdir()
    source = source.resolve()
    excluded = frozenset(_package_files(source, without))
    shutil.copy2(source / "pyvenv.cfg", target)
    for name in (".gitignore", "CACHEDIR.TAG"):
        if (source / name).exists():
            shutil.copy2(source / name, target)
    for entry in os.scandir(source):
        if entry.is_symlink():
            (target / entry.name).symlink_to(Path(entry).readlink())
        elif entry.is_dir() and not entry.name.startswith("."):
            _link_tree(entry.path, str(target / entry.name), excluded)


def _package_files(environment: Path, names: Iterable[str]) -> Iterator[str]:
    """The files of some packages in an environment, the bytecode of their modules included."""
    present = distributions(environment)
    for distribution in (present[name] for name in with_sharing_packages(environment, names)):
        yield str(distribution)
        for path in (os.path.normpath(path) for path, _, _ in read_record(distribution)):
            yield path
            if path.endswith(".py"):
                module = Path(path)
                yield from map(str, (module.parent / "__pycache__").glob(f"{module.stem}.*.pyc"))


def _link_tree(source: str, target: str, excluded: Container[str]) -> None:
    """Link the files below a directory, and make the directories that they need.

    There are thousands of files: strings take half the time of paths.
    """
    made = set()
    for entry in files_below(source, excluded):
        copy = target + entry.path.removeprefix(source)
        parent = copy.rpartition("/")[0]
        if parent not in made:
            os.makedirs(parent, exist_ok=True)  # noqa: PTH103
            made.add(parent)
        if entry.is_symlink():
            os.symlink(os.readlink(entry), copy)  # noqa: PTH115, PTH211
        else:
            link_or_copy(entry.path, copy)


def files_below(directory: str, excluded: Container[str] = ()) -> Iterator[os.DirEntry[str]]:
    """Every file and symbolic link below a directory, except the excluded paths and unfinished bytecode."""
    raise_noted_signal()
    for entry in os.scandir(directory):
        if entry.path in excluded or UNFINISHED_BYTECODE.search(entry.name):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from files_below(entry.path, excluded)
        else:
            yield entry


def link_or_copy(source: str, target: str) -> None:
    """Make a hard link, or a copy where links are impossible, as from the image to a volume."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in NO_LINK:
            raise
        shutil.copy2(source, target)
