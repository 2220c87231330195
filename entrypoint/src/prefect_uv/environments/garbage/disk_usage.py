"""What is where on the volume, and how much: every inode once, however many names hard links have given it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from prefect_uv.cache_volume.cache_directory import CacheDirectory

BLOCK = 512


@dataclass
class DiskUsage:
    """Bytes on the disk by inode, and the names that each inode has in every place."""

    sizes: dict[int, int] = field(default_factory=dict)
    names: Counter[int] = field(default_factory=Counter)
    places: dict[Path, Counter[int]] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Bytes that all places hold together."""
        return sum(self.sizes.values())

    def add(self, place: Path) -> None:
        """Take in everything below a place."""
        found: Counter[int] = Counter()
        for status in _walk(place):
            found[status.st_ino] += 1
            self.sizes[status.st_ino] = status.st_blocks * BLOCK
        self.places[place] = found
        self.names += found

    def own(self, places: list[Path]) -> int:
        """Bytes that nothing outside these places holds: what removing them all would free."""
        together: Counter[int] = sum((self.places[place] for place in places if place in self.places), Counter())
        return sum(self.sizes[inode] for inode, count in together.items() if count == self.names[inode])

    def size(self, place: Path) -> int:
        """Bytes below a place, shared or not."""
        return sum(self.sizes[inode] for inode in self.places[place])

    def remove(self, place: Path) -> None:
        """The place is gone."""
        gone = self.places.pop(place)
        self.names -= gone
        for inode in gone:
            if not self.names[inode]:
                del self.sizes[inode]


def measure_usage(cache: CacheDirectory) -> DiskUsage:
    """What everything in the cache directory holds."""
    usage = DiskUsage()
    for place in [*environment_directories(cache), *mirror_directories(cache), *uv_caches(cache), *_others(cache)]:
        usage.add(place)
    return usage


def environment_directories(cache: CacheDirectory) -> list[Path]:
    """The environments of all layouts: those of earlier ones go by the same rules."""
    hidden = {cache.builds, cache.trash}
    return [
        path for layout in cache.builds.parent.iterdir() if layout not in hidden for path in _subdirectories(layout)
    ]


def mirror_directories(cache: CacheDirectory) -> list[Path]:
    """The mirrors of repositories, of all layouts; they have leases as environments have."""
    layouts = _subdirectories(cache.mirrors.parent) if cache.mirrors.parent.is_dir() else []
    return [path for layout in layouts for path in _subdirectories(layout)]


def gigabytes(size: int) -> str:
    """A size for people."""
    return f"{size / 1e9:.2f} GB"


def uv_caches(cache: CacheDirectory) -> list[Path]:
    """uv's own, one for each minor version of uv."""
    return [path for path in _subdirectories(cache.root) if path.name.startswith("uv-")]


def _others(cache: CacheDirectory) -> Iterator[Path]:
    yield from (cache.builds, cache.trash, cache.index, cache.locks, cache.failures)
    known = {"envs", "index", "locks", "failed", cache.mirrors.parent.name}
    yield from (
        path for path in _subdirectories(cache.root) if path.name not in known and not path.name.startswith("uv-")
    )


def _subdirectories(place: Path) -> list[Path]:
    return [path for path in place.iterdir() if path.is_dir() and not path.is_symlink()]


def _walk(place: Path) -> Iterator[os.stat_result]:
    """The status of everything below; what vanishes meanwhile does not count."""
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError), os.scandir(place) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                yield entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    yield from _walk(Path(entry.path))
