"""How much is where: every inode once, however many names hard links have given it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

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


def _walk(place: Path) -> Iterator[os.stat_result]:
    """The status of everything below; what vanishes meanwhile does not count."""
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError), os.scandir(place) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                yield entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    yield from _walk(Path(entry.path))
