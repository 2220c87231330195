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
from prefect_uv.project.layout.build_backends import layout_of
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
    """A package whose source code is a directory that the flow can import from.

    Attributes:
        name: the name in the lock, normalized.
        directory: its directory.
        installable: whether uv would build and install it; a virtual project is only imported from.
        document: its parsed pyproject.toml; empty if that is missing or not TOML.
    """

    name: str
    directory: Path
    installable: bool
    document: Table = field(repr=False)

    @classmethod
    def of(cls, directory: Path) -> LocalPackage:
        """The package in a directory that requirements install and no lock knows."""
        document = read_toml(directory / PYPROJECT)
        name = str(table_at(document, "project").get("name", directory.name))
        return cls(normalized(name), directory, installable=True, document=document)

    @property
    def source_roots(self) -> tuple[Path, ...]:
        """The directories to import its modules from."""
        return source_roots(self.directory, self.document)

    @property
    def build_reason(self) -> str:
        """Why it has to be built to be importable; empty if its source roots suffice, or if uv would not build it."""
        return layout_of(self.directory, self.document).build_reason if self.installable else ""


def local_packages(lock: str, root: Path, directory: Path, selection: Selection) -> tuple[LocalPackage, ...]:
    """The local packages that a selection needs, the project first; all of them if the lock does not have the project.

    Packages that only other members, groups or extras need are left out. Markers are ignored, and so is whether a
    package from an index that depends on a local one is itself selected: an extra directory on the import path does
    no harm.

    Args:
        lock: the text of uv.lock, or of a script's lockfile.
        root: the lockfile's directory, which its paths are relative to.
        directory: the project's directory.
        selection: groups, extras and workspace member.
    """
    tables = local_tables(lock)
    packages = {name: _local_package(name, table, root) for name, table in tables.packages.items()}
    in_directory = (package.name for package in packages.values() if _is_same(package.directory, directory))
    project = selection.package or next(in_directory, "")
    if project not in packages:
        return tuple(packages.values())
    needed = _needed_names(tables, project, _installed_groups(packages[project], selection), selection)
    needed_elsewhere = filter(tables.is_needed_elsewhere, packages)
    return tuple(packages[name] for name in dict.fromkeys((*needed, *needed_elsewhere)))


def import_path(packages: Iterable[LocalPackage], directory: Path, chosen: tuple[Path, ...]) -> tuple[Path, ...]:
    """The directories to import the flow's code from, each once.

    Args:
        packages: the local packages; their roots come last.
        directory: the project's directory.
        chosen: the directories of PREFECT_UV_SOURCE_ROOT; if empty, the project's own source roots.
    """
    own = chosen or source_roots(directory, read_toml(directory / PYPROJECT))
    others = (package for package in packages if not _is_same(package.directory, directory))
    return tuple(dict.fromkeys((*own, *(root for package in others for root in package.source_roots))))


def local_package_paths(lock: str, root: Path) -> Iterator[tuple[str, Path]]:
    """The names and paths of all local packages of a lock, selected or not; wheels and archives are files."""
    return (
        (package.name, root / package.place) for package in locked_packages(lock) if package.kind in ON_THIS_MACHINE
    )


def _local_package(name: str, table: Table, root: Path) -> LocalPackage:
    ((kind, path),) = table["source"].items()
    directory = (root / path).resolve()
    return LocalPackage(name, directory, kind != VIRTUAL, read_toml(directory / PYPROJECT))


def _is_same(path: Path, other: Path) -> bool:
    return path.resolve() == other.resolve()


def _installed_groups(package: LocalPackage, selection: Selection) -> set[str]:
    """The dependency groups to install for a selection, the default ones included; `dev` only if it is selected."""
    default = Pyproject(package.directory, package.document).default_groups
    return set(selection.only_groups or (*selection.groups, *default))


def _dependency_groups(tables: LocalTables, member: str) -> dict[str, list[Table]]:
    """The dependency groups that a member can use: its own, and those of the workspace root that it does not redefine.

    uv 0.13.8: https://github.com/astral-sh/uv/blob/0.13.8/crates/uv/src/commands/project/install_target.rs
    (`includes_group`)
    """
    root = (table for table in tables.packages.values() if "." in table["source"].values())
    groups = [tables.manifest.get("dependency-groups", {})]
    groups += (table.get("dev-dependencies", {}) for table in (*root, tables.packages[member]))
    return {group: edges for table in groups for group, edges in table.items()}


def _needed_names(tables: LocalTables, project: str, groups: set[str], selection: Selection) -> Iterator[str]:
    """Yield the names of the packages that a project needs, itself first; a name comes again for each of its extras."""
    waiting = [] if selection.only_groups else [(project, ("", *selection.extras))]
    waiting += _edges_below(_dependency_groups(tables, project), groups)
    seen = set[tuple[str, str]]()
    yield project
    while waiting:
        name, extras = waiting.pop(0)
        table = tables.packages.get(name, {})
        for extra in extras if table else ():
            if (name, extra) not in seen:
                seen.add((name, extra))
                yield name
                needed = table_at(table, "optional-dependencies") if extra else {"": table.get("dependencies", ())}
                waiting += _edges_below(needed, {extra})


def _edges_below(table: Table, keys: set[str]) -> list[tuple[str, tuple[str, ...]]]:
    """The packages that a table lists below some of its keys, with their extras; `""` is the package without extras."""
    edges = (edge for key in table if key in keys for edge in table[key])
    return [(edge["name"], ("", *edge.get("extra", ()))) for edge in edges]
