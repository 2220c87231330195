"""A lock of uv's as a whole: what is reached from a selection. Parsing it takes 45 ms, so that only errors ask."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prefect_uv.project.selection import Selection

Packages = Mapping[str, list[Mapping[str, Any]]]


@dataclass(frozen=True)
class LockQuery:
    """What is asked of a lock.

    Attributes:
        targets: the projects whose dependencies are wanted.
        root: the name of the workspace's root, whose groups count for all members.
        selection: groups and extras.
        defaults: groups that come unasked.
    """

    targets: tuple[str, ...]
    root: str
    selection: Selection
    defaults: frozenset[str]

    @property
    def groups(self) -> set[str]:
        """The groups whose dependencies are wanted."""
        chosen = self.selection.only_groups or (*self.selection.groups, *self.defaults)
        return set(chosen)


class LockGraph:
    """A lock, parsed."""

    def __init__(self, text: str) -> None:
        document = tomllib.loads(text)
        self.manifest: Mapping[str, Any] = document.get("manifest", {})
        self.packages: dict[str, list[Mapping[str, Any]]] = {}
        for package in document.get("package", []):
            self.packages.setdefault(package["name"], []).append(package)

    def reached(self, wish: LockQuery) -> set[str]:
        """The names of everything that a selection leads to, on some platform or other."""
        todo = list(self._first(wish))
        seen = set[tuple[str, str]]()
        while todo:
            step = name, extra = todo.pop()
            if step not in seen:
                seen.add(step)
                for package in self.packages.get(name, []):
                    table = package.get("optional-dependencies", {}).get(extra, ()) if extra else ()
                    todo += _edges(table if extra else package.get("dependencies", ()))
        return {name for name, _ in seen}

    def _first(self, wish: LockQuery) -> Iterator[tuple[str, str]]:
        """What the selection names itself."""
        if not wish.selection.only_groups:
            extras = ("", *wish.selection.extras)
            yield from ((target, extra) for target in wish.targets for extra in extras)
        tables = [self.manifest.get("dependency-groups", {})]
        packages = (package for name in {*wish.targets, wish.root} for package in self.packages.get(name, []))
        tables += (package.get("dev-dependencies", {}) for package in packages)
        for table in tables:
            for group in table.keys() & wish.groups:
                yield from _edges(table[group])


def _edges(requirements: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for one in requirements:
        yield from ((one["name"], extra) for extra in ("", *one.get("extra", ())))
