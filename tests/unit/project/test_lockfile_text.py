"""What is read from the text of a uv.lock, compared with what uv says about it and with the lock as TOML.

This is where a change of the lockfile's format shows. If a new uv writes the file in another way,
`test_text_says_what_uv_says` fails for every project, with what was read and what the lock says, before any environment
is built from a lock that was read wrongly. Then project/lockfile/lockfile_text.py has to change. The mutations at the
end prove that the comparison notices such a change.
"""

from __future__ import annotations

import re
import subprocess
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from prefect_uv.project.lockfile import lockfile_text
from prefect_uv.project.lockfile.local_packages import local_packages
from prefect_uv.project.selection import Selection
from tests.unit.conftest import Origin
from tests.unit.http_server import Server, running_server
from tests.unit.lockable import REFUSED, LockedCopy, Target, publish, serve_file, targets
from tests.unit.wheels import build_wheel

pytestmark = pytest.mark.uv

TARGETS = [target for target in targets() if str(target) not in REFUSED]
Facts = dict[str, Any]


@dataclass(frozen=True)
class Index:
    """An index on this machine, and the directory of uv's cache for it."""

    server: Server
    url: str
    cache: Path


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """One index for all projects."""
    directory = tmp_path_factory.mktemp("index")
    with running_server() as server:
        yield Index(server, publish(server, directory / "wheels"), directory / "cache")


def from_text(lock: str) -> Facts:
    """Everything that is read from a lock's text."""
    tables = lockfile_text.local_tables(lock)
    packages = [
        (package.name, package.version, package.kind, package.place) for package in lockfile_text.locked_packages(lock)
    ]
    return {
        "requires-python": lockfile_text.requires_python(lock),
        "packages": packages,
        "manifest": tables.manifest,
        "tables": tables.packages,
        "needed elsewhere": {name for name, *_ in packages if tables.is_needed_elsewhere(name)},
        "registries": lockfile_text.registries(lock),
        "built here": lockfile_text.built_here(lock),
        "versions from addresses": lockfile_text.versions_from_addresses(lock),
    }


def from_toml(lock: str) -> Facts:
    """The same from the parsed lock."""
    document = tomllib.loads(lock)
    packages = document.get("package", [])
    heads = [
        (package["name"], package.get("version", ""), *next(iter(package["source"].items()))) for package in packages
    ]
    here = {"editable", "directory", "virtual"}
    return {
        "requires-python": document["requires-python"],
        "packages": heads,
        "manifest": document.get("manifest", {}),
        "tables": {package["name"]: package for package in packages if here & package["source"].keys()},
        "needed elsewhere": {
            edge["name"]
            for package in packages
            if not here & package["source"].keys()
            for edges in (package.get("dependencies", []), *package.get("optional-dependencies", {}).values())
            for edge in edges
        },
        "registries": {place for _, _, kind, place in heads if kind == "registry"},
        "built here": [name for name, _, kind, _ in heads if kind in here],
        "versions from addresses": {
            name: version for name, version, kind, _ in heads if kind in {"git", "url", "path"}
        },
    }


def from_uv(copy: LockedCopy) -> Facts:
    """What uv itself says, with absolute paths."""
    metadata = copy.metadata()
    nodes = [node for node in metadata["resolution"].values() if node["kind"] == "package"]
    return {
        "requires-python": metadata["requires_python"],
        "packages": sorted((node["name"], node.get("version", ""), *_source(node["source"])) for node in nodes),
        "members": {member["name"]: Path(member["path"]).resolve() for member in metadata.get("members", ())},
    }


def _source(source: dict[str, Any]) -> tuple[str, str]:
    kind, place = next((kind, place) for kind, place in source.items() if kind != "subdirectory")
    if kind == "registry":
        place = place.get("url") or place["path"]
    return kind, place if "://" in place else str(Path(place).resolve())


def absolute(facts: Facts, copy: LockedCopy) -> Facts:
    """What was read from the text in the form of `from_uv`. A project without a workspace is its own only member."""

    def place(text: str) -> str:
        return text if "://" in text else str((copy.lock.parent / text).resolve())

    places = {name: Path(place(text)) for name, _, _, text in facts["packages"]}
    alone = [] if copy.is_script else [name for name, found in places.items() if found == copy.directory]
    return {
        "requires-python": facts["requires-python"],
        "packages": sorted((name, version, kind, place(text)) for name, version, kind, text in facts["packages"]),
        "members": {name: places[name] for name in facts["manifest"].get("members", alone)},
    }


def exported(copy: LockedCopy, selection: Selection) -> set[Path]:
    """The directories that uv installs for a selection."""
    options = () if copy.is_script else selection.options
    lines = copy.uv("export", "--frozen", "--no-hashes", "--no-header", "--no-annotate", *options).splitlines()
    paths = (line.removeprefix("-e ").partition(" ;")[0] for line in lines)
    places = ((copy.lock.parent / path).resolve() for path in paths if path.startswith("."))
    return {place for place in places if place.is_dir()}


def needed(copy: LockedCopy, selection: Selection) -> set[Path]:
    """The directories that we find for it, without virtual projects, and without the project for `only_groups`."""
    found = local_packages(copy.lock.read_text(), copy.lock.parent, copy.directory, selection)
    chosen = found[1:] if selection.only_groups else found
    return {package.directory for package in chosen if package.installable}


def selections(copy: LockedCopy) -> list[Selection]:
    """The empty selection, and each member, group and extra of this project alone."""
    if copy.is_script:
        return [Selection()]
    facts = from_toml(copy.lock.read_text())
    tables = facts["tables"].values()
    here = [table for table in tables if (copy.lock.parent / _place(table)).resolve() == copy.directory]
    root = [table for table in tables if _place(table) == "."]
    groups = {name for table in (*here, *root) for name in table.get("dev-dependencies", ())}
    groups |= facts["manifest"].get("dependency-groups", {}).keys()
    extras = {name for table in here for name in table.get("optional-dependencies", ())}
    found = [Selection(package=name) for name in facts["manifest"].get("members", ())]
    found += [Selection(groups=(name,)) for name in groups]
    found += [Selection(only_groups=(name,)) for name in groups]
    return [Selection(), *found, *(Selection(extras=(name,)) for name in extras)]


def _place(table: dict[str, Any]) -> str:
    return str(next(iter(table["source"].values())))


def compare(copy: LockedCopy) -> None:
    """Assert that the text, TOML and uv agree about a lock."""
    lock = copy.lock.read_text()
    facts = from_text(lock)
    assert facts == from_toml(lock)
    assert absolute(facts, copy) == from_uv(copy)
    for selection in selections(copy):
        assert needed(copy, selection) == exported(copy, selection), selection


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_text_says_what_uv_says(target: Target, index: Index, tmp_path: Path) -> None:
    """Packages, sources, Python versions and selections agree for every project and script of this repository."""
    compare(LockedCopy.of(target, tmp_path, index.url, index.cache))


@pytest.mark.parametrize("target", [target for target in targets() if str(target) in REFUSED], ids=str)
def test_refused_projects_cannot_be_locked(target: Target, index: Index, tmp_path: Path) -> None:
    """Only projects that uv refuses to lock are left out of the comparison."""
    with pytest.raises(subprocess.CalledProcessError):
        LockedCopy.of(target, tmp_path, index.url, index.cache)


PROJECT = '[project]\nname = "{}"\nversion = "1.0"\nrequires-python = ">=3.11"\n'
BUILD = '[build-system]\nrequires = ["uv_build"]\nbuild-backend = "uv_build"\n'
EVERY_KIND = """
dependencies = [
    "an-editable", "a-directory", "a-virtual", "a-repository", "a-file", "an-address", "an-archive", "found",
    "trinket", "forked==1.0 ; sys_platform == 'win32'", "forked==2.0 ; sys_platform != 'win32'",
]

[project.optional-dependencies]
more = ["prefect"]

[dependency-groups]
ml = ["mako", "a-member"]

[tool.uv]
find-links = ["../links"]

[tool.uv.workspace]
members = ["a-member"]

[tool.uv.sources]
a-member = {{ workspace = true }}
an-editable = {{ path = "an-editable", editable = true }}
a-directory = {{ path = "a-directory" }}
a-virtual = {{ path = "a-virtual", package = false }}
a-repository = {{ git = "{repository}" }}
a-file = {{ path = "../links/a_file-1.0-py3-none-any.whl" }}
an-address = {{ url = "{address}" }}
an-archive = {{ url = "{archive}", subdirectory = "below" }}
"""


@pytest.fixture
def every_kind(tmp_path: Path, index: Index, origin: Origin) -> LockedCopy:
    """A project with dependencies from every kind of source, and one that has two versions."""
    for name, version in (("a_file", "1.0"), ("forked", "1.0"), ("forked", "2.0")):
        build_wheel(tmp_path / "links", name, version, {})
    build_wheel(tmp_path / "links", "found", "1.0", {}, requires=["a-member"])
    origin.commit("pyproject.toml", PROJECT.format("a-repository") + BUILD)
    with zipfile.ZipFile(tmp_path / "an_archive-1.0.zip", "w") as archive:
        archive.writestr("an_archive-1.0/below/pyproject.toml", PROJECT.format("an-archive") + BUILD)
    addresses = {
        "repository": origin.url,
        "address": serve_file(index.server, build_wheel(tmp_path, "an_address", "1.0", {})),
        "archive": serve_file(index.server, tmp_path / "an_archive-1.0.zip"),
    }
    project = tmp_path / "every-kind"
    for name in ("an-editable", "a-directory", "a-virtual", "a-member"):
        (project / name).mkdir(parents=True)
        build = "" if name == "a-virtual" else BUILD
        (project / name / "pyproject.toml").write_text(PROJECT.format(name) + build)
    (project / "pyproject.toml").write_text(PROJECT.format("every-kind") + EVERY_KIND.format(**addresses))
    copy = LockedCopy(project, index.cache)
    copy.uv("lock", "--default-index", index.url)
    return copy


def test_every_kind_of_source(every_kind: LockedCopy) -> None:
    """Every kind of source that a lock can contain is read."""
    kinds = {kind for _, _, kind, _ in from_text(every_kind.lock.read_text())["packages"]}
    assert kinds == {"registry", "git", "url", "path", "directory", "editable", "virtual"}
    compare(every_kind)


SOURCE = r"source = \{ (.+) \}"
MUTATIONS: dict[str, tuple[str, str]] = {
    "order of keys": (rf'(version = ".+")\n({SOURCE})\n', r"\2\n\1\n"),
    "a new key before the source": (rf"\n({SOURCE})", r"\nyanked = false\n\1"),
    "other quotes of names": (r'\nname = "(.+)"', r"\nname = '\1'"),
    "other quotes of places": (r'source = \{ (\w+) = "([^"]+)"', r"source = { \1 = '\2'"),
    "quoted keys": (r"source = \{ (\w+) =", r'source = { "\1" ='),
    "no space in inline tables": (SOURCE, r"source = {\1}"),
    "dotted keys": (r'\nsource = \{ (\w+) = ("[^"]+") \}', r"\nsource.\1 = \2"),
    "aligned": (r"\nname =", r"\nname    ="),
    "header": (r"\[\[package\]\]", "[[ package ]]"),
    "other quotes of Python": (r'requires-python = "(.+)"', r"requires-python = '\1'"),
    "no space in dependencies": (r"    \{ name = ", "    {name = "),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_change_of_format_is_noticed(every_kind: LockedCopy, mutation: str) -> None:
    """A lock that is the same as TOML and for uv, but is written differently, no longer agrees with its text."""
    lock = every_kind.lock.read_text()
    assert from_text(lock) == from_toml(lock)
    changed, count = re.subn(*MUTATIONS[mutation], lock)
    assert count
    every_kind.lock.write_text(changed)
    every_kind.metadata()
    assert from_text(changed) != from_toml(changed)
