"""A lock of uv's: which packages it has, where the local ones are, and what is reached from a selection.

The local packages alone are read from the text's blocks: parsing the half megabyte of a lock with Prefect takes 45 ms.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from prefect_uv.project.pyproject import normalized
from prefect_uv.selection import Selection

HEADER = "\n[[package]]\n"
_LOCAL = re.compile(r'^source = \{ (?:virtual|editable|directory|path) = "', re.MULTILINE)
_REQUIRES_PYTHON = re.compile(r'^requires-python = "([^"]*)"', re.MULTILINE)

Packages = Mapping[str, list[Mapping[str, Any]]]


@dataclass(frozen=True)
class Wish:
    """What is asked of a lock.

    Attributes:
        targets: the projects whose dependencies are wanted; none for a script.
        root: the name of the workspace's root, whose groups count for all members.
        selection: groups and extras.
        defaults: groups that come unasked.
    """

    targets: tuple[str, ...] = ()
    root: str = ""
    selection: Selection = field(default_factory=Selection)
    defaults: frozenset[str] = frozenset()

    @property
    def groups(self) -> set[str]:
        """The groups whose dependencies are wanted."""
        chosen = self.selection.only_groups or (*self.selection.groups, *self.defaults)
        return {normalized(name) for name in chosen}


class Lock:
    """The text of a uv.lock or of a script's lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text(errors="replace")

    @property
    def requires_python(self) -> str:
        """The Python versions that it was resolved for."""
        found = _REQUIRES_PYTHON.search(self.text.partition(HEADER)[0])
        return found[1] if found else ""

    @cached_property
    def local(self) -> Packages:
        """The packages that lie in directories or files beside the lock, by name."""
        blocks = (block for block in self.text.split(HEADER)[1:] if _LOCAL.search(block))
        return _by_name(package for block in blocks for package in _parsed(HEADER + block).get("package", []))

    @cached_property
    def packages(self) -> Packages:
        """All packages by name."""
        return _by_name(_parsed(self.text).get("package", []))

    def paths(self, names: Iterable[str] | None = None) -> dict[str, Path]:
        """Where the local packages are, or those with these names."""
        chosen = self.local if names is None else {name: self.local[name] for name in names if name in self.local}
        return {name: self.path.parent / _place(packages[0]) for name, packages in chosen.items()}

    def reached(self, packages: Packages, wish: Wish) -> set[str]:
        """The names of everything that a selection leads to, on some platform or other."""
        todo, found = list(self._first(packages, wish)), set[str]()
        seen = set[tuple[str, str]]()
        while todo:
            name, extra = todo.pop()
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            found.add(name)
            for package in packages.get(name, []):
                todo += _needs(package["optional-dependencies"].get(extra, []) if extra else package["dependencies"])
        return found

    def _first(self, packages: Packages, wish: Wish) -> Iterator[tuple[str, str]]:
        """What the selection names itself, before what that depends on."""
        manifest = _parsed(self.text.partition(HEADER)[0]).get("manifest", {})
        if not wish.targets:
            yield from _needs(manifest.get("requirements", []))
        elif not wish.selection.only_groups:
            for target in wish.targets:
                yield from ((target, extra) for extra in ("", *map(normalized, wish.selection.extras)))
        tables = [manifest.get("dependency-groups", {})]
        tables += (
            package["dev-dependencies"] for name in {*wish.targets, wish.root} for package in packages.get(name, [])
        )
        for table in tables:
            for group, needs in table.items():
                if normalized(group) in wish.groups:
                    yield from _needs(needs)


def _parsed(text: str) -> Mapping[str, Any]:
    """What is no TOML is left for uv, which says where it is broken."""
    try:
        return tomllib.loads(text)
    except ValueError:
        return {}


def _by_name(packages: Iterable[Mapping[str, Any]]) -> Packages:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for package in packages:
        tables: Mapping[str, Any] = {"dependencies": [], "optional-dependencies": {}, "dev-dependencies": {}}
        found.setdefault(package["name"], []).append({**tables, **package})
    return found


def _needs(requirements: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for one in requirements:
        yield from ((one["name"], extra) for extra in ("", *one.get("extra", one.get("extras", []))))


def _place(package: Mapping[str, Any]) -> str:
    return str(next(iter(package["source"].values())))
