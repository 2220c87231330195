"""The packages of a lock that are directories: the project itself, workspace members and path dependencies.

They are never in a shared environment, because their code changes from run to run. Read from the lock's text piece by
piece: only the local packages' own tables are parsed, which takes a millisecond where a whole lock takes fifty.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from prefect_uv.project.pyproject import normalized
from prefect_uv.project.sources import source_roots
from prefect_uv.project.toml import Table, at, read
from prefect_uv.selection import DEV, Selection

PACKAGE = "[[package]]\n"
LOCAL = re.compile(r'^source = \{ (virtual|editable|directory) = "([^"]+)" \}$', re.MULTILINE)
NAME = re.compile(r'^name = "([^"]+)"$', re.MULTILINE)
VIRTUAL = "virtual"


@dataclass(frozen=True)
class LocalPackage:
    """A directory whose code the flow can import.

    Attributes:
        name: as the lock has it.
        directory: where it is.
        installable: whether uv would build and install it; a virtual project is only imported from.
        document: its pyproject.toml; empty when it has none that can be read.
    """

    name: str
    directory: Path
    installable: bool
    document: Table = field(repr=False)

    @property
    def source_roots(self) -> tuple[Path, ...]:
        """The directories that its modules are imported from."""
        return source_roots(self.directory, self.document)


def local_packages(lock: str, root: Path, directory: Path, selection: Selection) -> tuple[LocalPackage, ...]:
    """The local packages that a selection needs, the selected project first.

    Those that only the lock's other members, unselected groups or extras need are not among them. Markers do not
    count, and neither does whether a package that names a local one is itself selected: a directory too many on the
    import path does no harm.

    Args:
        lock: the text of uv.lock, or of a script's lock.
        root: its directory, which its paths are relative to.
        directory: the project's.
        selection: groups, extras and workspace member.
    """
    local, others = _split(lock)
    packages = {name: _package(name, table, root) for name, table in local.items()}
    first = selection.package or next((one.name for one in packages.values() if _same(one.directory, directory)), "")
    if first not in packages:
        return tuple(packages.values())
    groups = _groups(packages[first], selection)
    own = next((local[one.name] for one in packages.values() if _same(one.directory, root)), {})
    shared = [*_of(own.get("dev-dependencies", {}), groups), *_of(_shared_groups(lock), groups)]
    wanted = dict(_needed(local, first, groups, selection, shared))
    named = (name for name in packages if f'{{ name = "{name}"' in others)
    return tuple(packages[name] for name in dict.fromkeys((*wanted, *named)))


def import_path(packages: Iterable[LocalPackage], directory: Path, chosen: tuple[Path, ...]) -> tuple[Path, ...]:
    """Where the flow's code is imported from: the project's own roots, or the chosen ones, then the other packages'."""
    own = chosen or source_roots(directory, read(directory / "pyproject.toml"))
    others = (root for one in packages if not _same(one.directory, directory) for root in one.source_roots)
    return tuple(dict.fromkeys((*own, *others)))


def local_directories(lock: str, root: Path) -> list[Path]:
    """Where all local packages of a lock are, whether they are selected or not."""
    return [root / path for _, path in LOCAL.findall(lock)]


def _split(lock: str) -> tuple[dict[str, Table], str]:
    """The tables of the local packages by name, and the text of all else."""
    local: dict[str, Table] = {}
    others = []
    for text in lock.split(PACKAGE)[1:]:
        name = NAME.search(text)
        table = _parsed(PACKAGE + text) if name and LOCAL.search(text) else {}
        if name and table:
            local[name[1]] = table
        else:
            others.append(text)
    return local, "".join(others)


def _parsed(text: str) -> Table:
    """One package's table; a lock that cannot be read is refused by uv."""
    try:
        return dict(tomllib.loads(text)["package"][0])
    except ValueError:
        return {}


def _package(name: str, table: Table, root: Path) -> LocalPackage:
    ((kind, path),) = table["source"].items()
    directory = (root / path).resolve()
    return LocalPackage(name, directory, kind != VIRTUAL, read(directory / "pyproject.toml"))


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _groups(package: LocalPackage, selection: Selection) -> list[str]:
    """The dependency groups that uv installs for this selection: the default ones too, `dev` only when named."""
    if selection.only_groups:
        return [*selection.only_groups]
    default = at(package.document, "tool", "uv").get("default-groups", ())
    every = at(package.document, "dependency-groups") if default == "all" else default
    return [*selection.groups, *(name for name in every if name != DEV)]


def _shared_groups(lock: str) -> Table:
    """The dependency groups of a workspace's root that is no project, which count for all members."""
    try:
        return at(tomllib.loads(lock.partition(PACKAGE)[0]), "manifest", "dependency-groups")
    except ValueError:
        return {}


def _needed(
    local: Mapping[str, Table], first: str, groups: Iterable[str], selection: Selection, shared: Iterable[Table]
) -> Iterator[tuple[str, None]]:
    """Names in the order in which they are met, from the first package on, with the groups of the workspace's root."""
    extras = () if selection.only_groups else selection.extras
    waiting = [(first, frozenset(extras))]
    seen = set(waiting)
    while waiting:
        name, extras_of = waiting.pop(0)
        yield name, None
        table = local[name]
        edges = [] if name == first and selection.only_groups else [*table.get("dependencies", [])]
        edges += _of(table.get("optional-dependencies", {}), extras_of)
        edges += [*_of(table.get("dev-dependencies", {}), groups), *shared] if name == first else []
        for edge in edges:
            step = (edge["name"], frozenset(edge.get("extra", ())))
            if step[0] in local and step not in seen:
                seen.add(step)
                waiting.append(step)


def _of(tables: Mapping[str, list[Table]], names: Iterable[str]) -> list[Table]:
    """The edges of these groups or extras; the lock has their names normalized."""
    return [edge for name in names for edge in tables.get(normalized(name), [])]
