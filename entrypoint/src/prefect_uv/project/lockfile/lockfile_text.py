"""What is read from the text of a uv.lock without parsing it. Every assumption about its layout is in this module.

Every start reads it: parsing the lock of a project with Prefect takes 58 ms, and looking at the head of each package in
its text takes 1.6 ms (ADR 19). This works because only uv writes the file, always in the same order, with the same
quotes and spaces:

    [[package]]
    name = "etl"
    version = "1.0"                         # left out if only a build knows it
    source = { editable = "packages/etl" }

uv 0.13.8: https://docs.astral.sh/uv/concepts/projects/layout/#the-lockfile describes the file, and
https://docs.astral.sh/uv/concepts/resolution/#lockfile-versioning when it may change (seen with uv 0.6.17 to 0.13.8:
lock version 1, revisions 2 to 5). `write_package_id` and `write_source_inline` of
https://github.com/astral-sh/uv/blob/0.12.5/crates/uv-resolver/src/lock/serialize.rs write these lines.
tests/unit/project/test_lockfile_text.py compares what is read here with what uv itself says about the same lock.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prefect_uv.project.files.toml_tables import Table, table_at
from prefect_uv.shapes import mismatch

VIRTUAL = "virtual"
DIRECTORIES = frozenset({VIRTUAL, "editable", "directory"})
ON_THIS_MACHINE = DIRECTORIES | {"path"}
ADDRESS_KINDS = frozenset({"git", "url", "path"})
REGISTRY = "registry"

EDGE = {"name": str, "extra": ([str], None)}
EDGES = {...: [EDGE]}
LOCKED_TABLE = {
    "name": str,
    "source": ({...: (str, int, list)}, None),
    "dependencies": ([EDGE], None),
    "optional-dependencies": (EDGES, None),
    "dev-dependencies": (EDGES, None),
}
MANIFEST_TABLE = {"dependency-groups": (EDGES, None)}
LOCAL_TABLE = {**LOCKED_TABLE, "source": {...: str}}
"""The shapes of a package's table: of any package, and of one that is a directory."""

_PACKAGE = "[[package]]\n"
_HEAD = re.compile(
    r'name = "(?P<name>[^"]+)"\n'
    r'(?:version = "(?P<version>[^"]+)"\n)?'
    r'source = \{ (?P<kind>[a-z]+) = "(?P<place>[^"]+)"'
)
_REQUIRES_PYTHON = re.compile(r'^requires-python = "([^"]*)"', re.MULTILINE)


@dataclass(frozen=True)
class LockedPackage:
    """The head of a package's table.

    Attributes:
        name: the normalized name.
        version: empty if only a build knows it.
        kind: the kind of its source: `registry`, `git`, `url`, `path` (a wheel or another archive), `directory`,
            `editable`, or `virtual`, which is not installed.
        place: the source's address, or its path, relative to the directory of the lock.
    """

    name: str
    version: str
    kind: str
    place: str


@dataclass(frozen=True)
class LocalTables:
    """The parts of a lock that are parsed, because they are about packages that are directories.

    Attributes:
        manifest: the workspace's table; it has the groups of a root that is not a project.
        packages: the tables of these packages by name.
        others: the text of all other packages.
    """

    manifest: Table
    packages: Mapping[str, Table]
    others: str

    def is_needed_elsewhere(self, name: str) -> bool:
        """Whether any of the other packages depends on this one."""
        return f'{{ name = "{name}"' in self.others


def requires_python(lock: str) -> str:
    """The Python versions that a lock was made for; empty if it does not say so."""
    found = _REQUIRES_PYTHON.search(lock.partition(_PACKAGE)[0])
    return found[1] if found else ""


def locked_packages(lock: str) -> Iterator[LockedPackage]:
    """All packages in the lock's order. A name can come twice, with another version for another platform."""
    for text in lock.split(_PACKAGE)[1:]:
        if found := _HEAD.match(text):
            yield LockedPackage(*found.groups(""))


def built_here(lock: str) -> list[str]:
    """The names of the packages whose source code is in the checkout; wheels and archives are left out."""
    return [package.name for package in locked_packages(lock) if package.kind in DIRECTORIES]


def versions_from_addresses(lock: str) -> dict[str, str]:
    """The versions of the packages that come from a repository, an address or a file instead of an index."""
    return {package.name: package.version for package in locked_packages(lock) if package.kind in ADDRESS_KINDS}


def registries(lock: str) -> set[str]:
    """The addresses or paths of the indexes that a lock was made with."""
    return {package.place for package in locked_packages(lock) if package.kind == REGISTRY}


def local_tables(lock: str) -> LocalTables:
    """Parse only the tables of packages that are directories.

    A table that cannot be parsed, or is not as uv writes it, is left to uv, which refuses the lock.
    """
    head, *texts = lock.split(_PACKAGE)
    packages: dict[str, Table] = {}
    others = []
    for text in texts:
        found = _HEAD.match(text)
        parsed = _parsed(_PACKAGE + text).get("package") if found and found["kind"] in DIRECTORIES else None
        if parsed and not mismatch(parsed, [LOCAL_TABLE]) and len(parsed[0]["source"]) == 1:
            packages[parsed[0]["name"]] = parsed[0]
        else:
            others.append(text)
    manifest = table_at(_parsed(head), "manifest")
    return LocalTables({} if mismatch(manifest, MANIFEST_TABLE) else manifest, packages, "".join(others))


def _parsed(text: str) -> Table:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return {}
