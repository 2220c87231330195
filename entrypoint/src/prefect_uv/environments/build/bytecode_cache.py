"""Bytecode of packages, kept beside uv's cache: what was imported once is imported fast in every later environment.

Without bytecode `import prefect` takes more than twice as long (3.8.8), and compiling a whole environment beforehand
takes longer still, so a run writes what it imports. Here it is kept, as hard links:

<cache>/bytecode/v1/<package>/<place of a .pyc below site-packages>

A package is known by its name, version and digest of sources. Python compares each file with time and size of its
source (PEP 552), which uv's hard links preserve; what does not fit is compiled again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Container, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from prefect_uv.environments.build.hard_links import files_below, link_or_copy
from prefect_uv.environments.build.verification import distributions, read_record, site_packages
from prefect_uv.environments.key.environment_contents import Contents


@dataclass(frozen=True)
class BytecodeCache:
    """The bytecode on a volume, and the user ids whose files are used."""

    place: Path
    trusted: Container[int]

    def keep(self, environment: Path, contents: Contents) -> None:
        """Keep what the runs in an environment have compiled, in place of what was kept of the same packages."""
        top = site_packages(environment)
        for package, distribution in self._packages(environment, contents):
            package.mkdir(parents=True, exist_ok=True)
            if self._is_trusted(package):
                _touch(package)
                for compiled in _compiled(distribution, _tag(top)):
                    _put(compiled, package / compiled.relative_to(top))

    def restore(self, environment: Path, contents: Contents) -> None:
        """Give a new environment what is kept of its packages."""
        top = site_packages(environment)
        for package, _ in self._packages(environment, contents):
            with suppress(FileNotFoundError, NotADirectoryError, PermissionError):  # another container may forget it
                if self._is_trusted(package):
                    _touch(package)
                    _restore(str(package), str(top), f".{_tag(top)}.pyc")

    def _packages(self, environment: Path, contents: Contents) -> Iterator[tuple[Path, Path]]:
        """The places of an environment's packages here and there."""
        for name, distribution in distributions(environment).items():
            package = contents.packages[name]
            yield self.place / f"{name}-{package.version}-{package.source[:16]}", distribution

    def _is_trusted(self, package: Path) -> bool:
        return package.is_dir() and package.stat().st_uid in self.trusted


def forget_unused_bytecode(place: Path, before: float) -> None:
    """Delete what no environment has added to or asked for since a time."""
    for package in place.iterdir() if place.is_dir() else ():
        if package.stat().st_mtime < before:
            shutil.rmtree(package, ignore_errors=True)


def _compiled(distribution: Path, tag: str) -> Iterator[Path]:
    """The bytecode that is there of a distribution's modules."""
    sources = (Path(path) for path, _, _ in read_record(distribution) if path.endswith(".py"))
    modules = (path for path in sources if ".." not in path.parts)
    found = (path.parent / "__pycache__" / f"{path.stem}.{tag}.pyc" for path in modules)
    return filter(Path.exists, found)


def _touch(package: Path) -> None:
    """Where it is another user's, that one may do it."""
    with suppress(PermissionError):
        os.utime(package)


def _restore(package: str, top: str, suffix: str) -> None:
    """Link what is kept of a package, but for what is there and what has no module; by strings, as in `clone`."""
    for kept in files_below(package):
        if kept.name.endswith(suffix):
            target = top + kept.path.removeprefix(package)
            with suppress(FileExistsError, FileNotFoundError):
                os.mkdir(os.path.dirname(target))  # noqa: PTH102, PTH120
            with suppress(FileExistsError, FileNotFoundError):
                link_or_copy(kept.path, target)


def _put(compiled: Path, kept: Path) -> None:
    """Under its name at once: others read and write here as well."""
    with suppress(FileNotFoundError):
        if kept.samefile(compiled):
            return
    kept.parent.mkdir(parents=True, exist_ok=True)
    aside = kept.with_name(f"{kept.name}.{uuid4().hex}")
    link_or_copy(str(compiled), str(aside))
    aside.replace(kept)


def _tag(top: Path) -> str:
    """As CPython names its files (`sys.implementation.cache_tag`); of other implementations nothing is kept."""
    return "cpython-" + top.parent.name.removeprefix("python").replace(".", "")
