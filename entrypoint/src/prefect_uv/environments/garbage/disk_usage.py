"""Disk usage of the cache directory: every inode counts once, however many hard links it has."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from prefect_uv.cache_volume.cache_directory import (
    KEY_NAME,
    LAYOUT_NAME,
    MIRROR_NAME,
    UV_CACHE_NAME,
    CacheDirectory,
)
from prefect_uv.processes.signals import raise_noted_signal

BLOCK_BYTES = 512  # the unit of st_blocks


@dataclass
class DiskUsage:
    """Bytes on the disk by inode, and how many names each inode has in each directory.

    Attributes:
        sizes: bytes by inode.
        names: the number of names by inode, over all directories.
        directories: the number of names by inode, for each directory.
    """

    sizes: dict[int, int] = field(default_factory=dict)
    names: Counter[int] = field(default_factory=Counter)
    directories: dict[Path, Counter[int]] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Bytes that all directories use together."""
        return sum(self.sizes.values())

    def add(self, directory: Path) -> None:
        """Measure everything below a directory."""
        inodes: Counter[int] = Counter()
        for status in _walk(directory):
            inodes[status.st_ino] += 1
            self.sizes[status.st_ino] = status.st_blocks * BLOCK_BYTES
        self.directories[directory] = inodes
        self.names += inodes

    def freed_by_removing(self, directories: list[Path]) -> int:
        """Bytes that only these directories use."""
        measured = (self.directories[directory] for directory in directories if directory in self.directories)
        together: Counter[int] = sum(measured, Counter())
        return sum(self.sizes[inode] for inode, count in together.items() if count == self.names[inode])

    def size(self, directory: Path) -> int:
        """Bytes below a directory, shared or not."""
        return sum(self.sizes[inode] for inode in self.directories[directory])

    def remove(self, directory: Path) -> None:
        """Forget a directory that was removed from the disk."""
        removed = self.directories.pop(directory)
        self.names -= removed
        for inode in removed:
            if not self.names[inode]:
                del self.sizes[inode]


def measure_usage(cache: CacheDirectory) -> DiskUsage:
    """The usage of everything in the cache directory."""
    usage = DiskUsage()
    for path in [*environment_directories(cache), *mirror_directories(cache), *uv_caches(cache), *_others(cache)]:
        usage.add(path)
    return usage


def environment_directories(cache: CacheDirectory) -> list[Path]:
    """The environments of all layouts: garbage collection treats earlier ones the same."""
    return _entries_of_layouts(cache, cache.builds.parent, KEY_NAME)


def mirror_directories(cache: CacheDirectory) -> list[Path]:
    """The mirrors of git repositories, of all layouts; like environments, they have leases."""
    return _entries_of_layouts(cache, cache.mirrors.parent, MIRROR_NAME)


def gigabytes(size: int) -> str:
    """A size for the log, as `1.25 GB`."""
    return f"{size / 1e9:.2f} GB"


def uv_caches(cache: CacheDirectory) -> list[Path]:
    """uv's caches, one per minor version of uv."""
    return [path for path in cache.entries(cache.root, UV_CACHE_NAME) if _is_real_directory(path)]


def _entries_of_layouts(cache: CacheDirectory, area: Path, form: re.Pattern[str]) -> list[Path]:
    layouts = cache.entries(area, LAYOUT_NAME)
    return [path for layout in layouts for path in cache.entries(layout, form) if _is_real_directory(path)]


def _others(cache: CacheDirectory) -> Iterator[Path]:
    yield from (cache.builds, cache.trash, cache.index, cache.locks, cache.failures)
    known = {"envs", "index", "locks", "failed", cache.mirrors.parent.name}
    yield from (
        path for path in _subdirectories(cache.root) if path.name not in known and not path.name.startswith("uv-")
    )


def _subdirectories(directory: Path) -> list[Path]:
    return [path for path in directory.iterdir() if _is_real_directory(path)]


def _is_real_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _walk(directory: Path) -> Iterator[os.stat_result]:
    """The status of everything below a directory, except what disappears during the walk."""
    raise_noted_signal()
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError), os.scandir(directory) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                yield entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    yield from _walk(Path(entry.path))
