"""The packages of a lock that are directories: the project itself, workspace members and path dependencies.

They are never in a shared environment, because their code changes from run to run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from prefect_uv.package_names import normalized
from prefect_uv.project.files.pyproject import PYPROJECT, Pyproject
from prefect_uv.project.files.source_roots import source_roots
from prefect_uv.project.files.toml_tables import Table, read_toml, table_at
from prefect_uv.project.lockfile.lockfile_text import (
    ON_THIS_MACHINE,
    VIRTUAL,
    LocalTables,
    local_tables,
    locked_packages,
)
from prefect_uv.project.selection import Selection


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

    @classmethod
    def of(cls, directory: Path) -> LocalPackage:
        """A directory that is in no lock but is to be installed."""
        document = read_toml(directory / PYPROJECT)
        name = str(table_at(document, "project").get("name", directory.name))
        return cls(normalized(name), directory, installable=True, document=document)

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
    tables = local_tables(lock)
    packages = {name: _package(name, table, root) for name, table in tables.packages.items()}
    first = selection.package or next((one.name for one in packages.values() if _same(one.directory, directory)), "")
    if first not in packages:
        return tuple(packages.values())
    wanted = _needed(tables, first, _groups(packages[first], selection), selection)
    named = filter(tables.is_needed_elsewhere, packages)
    return tuple(packages[name] for name in dict.fromkeys((*wanted, *named)))


def import_path(packages: Iterable[LocalPackage], directory: Path, chosen: tuple[Path, ...]) -> tuple[Path, ...]:
    """Where the flow's code is imported from: the project's own roots, or the chosen ones, then the other packages'."""
    own = chosen or source_roots(directory, read_toml(directory / PYPROJECT))
    others = (root for one in packages if not _same(one.directory, directory) for root in one.source_roots)
    return tuple(dict.fromkeys((*own, *others)))


def local_package_paths(lock: str, root: Path) -> Iterator[tuple[str, Path]]:
    """Where all local packages of a lock are, whether they are selected or not; wheels and archives are files."""
    return ((one.name, root / one.place) for one in locked_packages(lock) if one.kind in ON_THIS_MACHINE)


def _package(name: str, table: Table, root: Path) -> LocalPackage:
    ((kind, path),) = table["source"].items()
    directory = (root / path).resolve()
    return LocalPackage(name, directory, kind != VIRTUAL, read_toml(directory / PYPROJECT))


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _groups(package: LocalPackage, selection: Selection) -> set[str]:
    """The dependency groups that uv installs for this selection: the default ones too, `dev` only when named."""
    default = Pyproject(package.directory, package.document).default_groups
    return set(selection.only_groups or (*selection.groups, *default))


def _dependency_groups(tables: LocalTables, first: str) -> dict[str, list[Table]]:
    """The dependency groups for a member: its own and those of the workspace's root (uv 0.13.8)."""
    root = (table for table in tables.packages.values() if "." in table["source"].values())
    every = [tables.manifest.get("dependency-groups", {})]
    every += (table.get("dev-dependencies", {}) for table in (*root, tables.packages[first]))
    return {group: edges for table in every for group, edges in table.items()}


def _needed(tables: LocalTables, first: str, groups: set[str], selection: Selection) -> Iterator[str]:
    """Names in the order in which they are met, from the first package on, once for each extra that is asked of it."""
    waiting = [] if selection.only_groups else [(first, ("", *selection.extras))]
    waiting += _of(_dependency_groups(tables, first), groups)
    seen = set[tuple[str, str]]()
    yield first
    while waiting:
        name, extras = waiting.pop(0)
        table = tables.packages.get(name, {})
        for extra in extras if table else ():
            if (name, extra) not in seen:
                seen.add((name, extra))
                yield name
                needed = table_at(table, "optional-dependencies") if extra else {"": table.get("dependencies", ())}
                waiting += _of(needed, {extra})


def _of(table: Table, names: set[str]) -> list[tuple[str, tuple[str, ...]]]:
    """The packages that a table lists below these names, with their extras."""
    edges = (edge for name in table if name in names for edge in table[name])
    return [(edge["name"], ("", *edge.get("extra", ()))) for edge in edges]
