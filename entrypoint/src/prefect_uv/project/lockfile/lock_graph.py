"""The dependency graph of a uv lockfile: which packages a selection reaches.

Parsing the whole file takes 45 ms, so it is only done to explain an error.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prefect_uv.project.lockfile.lockfile_text import LOCKED_TABLE, MANIFEST_TABLE
from prefect_uv.project.selection import Selection
from prefect_uv.shapes import mismatch

LOCKFILE = {"manifest": (MANIFEST_TABLE, None), "package": ([LOCKED_TABLE], None)}

Packages = Mapping[str, list[Mapping[str, Any]]]


@dataclass(frozen=True)
class LockQuery:
    """A selection in the lock's terms.

    Attributes:
        targets: the names of the projects whose dependencies are installed.
        root: the name of the workspace root, whose groups every member can use.
        selection: groups and extras.
        defaults: the groups that are installed by default.
    """

    targets: tuple[str, ...]
    root: str
    selection: Selection
    defaults: frozenset[str]

    @property
    def groups(self) -> set[str]:
        """The groups whose dependencies are installed."""
        return set(self.selection.only_groups or (*self.selection.groups, *self.defaults))


class LockGraph:
    """A parsed lockfile; one that uv did not write, and refuses, is empty."""

    def __init__(self, text: str) -> None:
        document = _parsed_lock(text)
        self.manifest: Mapping[str, Any] = document.get("manifest", {})
        self.packages: dict[str, list[Mapping[str, Any]]] = {}
        for package in document.get("package", []):
            self.packages.setdefault(package["name"], []).append(package)

    def reached(self, query: LockQuery) -> set[str]:
        """The names of the packages that a selection reaches on any platform."""
        todo = list(self._selected(query))
        seen = set[tuple[str, str]]()
        while todo:
            edge = name, extra = todo.pop()
            if edge not in seen:
                seen.add(edge)
                for package in self.packages.get(name, []):
                    table = package.get("optional-dependencies", {}).get(extra, ()) if extra else ()
                    todo += _edges(table if extra else package.get("dependencies", ()))
        return {name for name, _ in seen}

    def _selected(self, query: LockQuery) -> Iterator[tuple[str, str]]:
        """Yield the names and extras that the selection itself contains.

        A group that a member redefines is taken from the workspace root as well, which is good enough for a hint.
        """
        if not query.selection.only_groups:
            extras = ("", *query.selection.extras)
            yield from ((target, extra) for target in query.targets for extra in extras)
        tables = [self.manifest.get("dependency-groups", {})]
        packages = (package for name in {*query.targets, query.root} for package in self.packages.get(name, []))
        tables += (package.get("dev-dependencies", {}) for package in packages)
        for table in tables:
            for group in table.keys() & query.groups:
                yield from _edges(table[group])


def _parsed_lock(text: str) -> Mapping[str, Any]:
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError):
        return {}
    return {} if mismatch(document, LOCKFILE) else document


def _edges(requirements: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for requirement in requirements:
        yield from ((requirement["name"], extra) for extra in ("", *requirement.get("extra", ())))
