"""What is where on the volume, and how much: every inode once, however many names hard links have given it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from prefect_uv.volume.layout import Area

BLOCK = 512


@dataclass
class Usage:
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


def measure(area: Area) -> Usage:
    """What everything in the cache directory holds."""
    usage = Usage()
    for place in [*environments(area), *mirrors(area), *uv_caches(area), *_others(area)]:
        usage.add(place)
    return usage


def environments(area: Area) -> list[Path]:
    """The environments of all layouts: those of earlier ones go by the same rules."""
    hidden = {area.builds, area.trash}
    return [path for layout in area.builds.parent.iterdir() if layout not in hidden for path in _directories(layout)]


def mirrors(area: Area) -> list[Path]:
    """The mirrors of repositories, of all layouts; they have leases as environments have."""
    layouts = _directories(area.mirrors.parent) if area.mirrors.parent.is_dir() else []
    return [path for layout in layouts for path in _directories(layout)]


def gigabytes(size: int) -> str:
    """A size for people."""
    return f"{size / 1e9:.2f} GB"


def uv_caches(area: Area) -> list[Path]:
    """uv's own, one for each minor version of uv."""
    return [path for path in _directories(area.root) if path.name.startswith("uv-")]


def _others(area: Area) -> Iterator[Path]:
    yield from (area.builds, area.trash, area.index, area.locks, area.failures)
    known = {"envs", "index", "locks", "failed", area.mirrors.parent.name}
    yield from (path for path in _directories(area.root) if path.name not in known and not path.name.startswith("uv-"))


def _directories(place: Path) -> list[Path]:
    return [path for path in place.iterdir() if path.is_dir() and not path.is_symlink()]


def _walk(place: Path) -> Iterator[os.stat_result]:
    """The status of everything below; what vanishes meanwhile does not count."""
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError), os.scandir(place) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                yield entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    yield from _walk(Path(entry.path))
