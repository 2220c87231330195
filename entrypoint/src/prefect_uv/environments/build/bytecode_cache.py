"""Bytecode of packages, kept next to uv's cache: a module is compiled once, not once per environment.

Without bytecode `import prefect` takes more than twice as long (Prefect 3.8.8, measured in ADR 16), and compiling a
whole environment beforehand takes longer still, so each run compiles what it imports. The result is kept as hard links:

<cache>/bytecode/v1/<package>/<path of a .pyc below site-packages>

A package is identified by its name, version and digest of sources. Python checks each file against the time and size
of its source, which hard links preserve, and compiles what does not match again.

uv 0.13.8: compiles nothing by default. https://docs.astral.sh/uv/pip/compatibility/#bytecode-compilation
CPython 3.7: invalidation by time and size (PEP 552).
https://docs.python.org/3/reference/import.html#cached-bytecode-invalidation
"""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.environments.build.hard_links import files_below, link_or_copy
from prefect_uv.environments.build.shared_files import shared_files
from prefect_uv.environments.build.verification import distributions, read_record, site_packages
from prefect_uv.environments.key.environment_contents import Contents

PACKAGE_NAME = re.compile(r".+-[0-9a-f]{16}")


@dataclass(frozen=True)
class BytecodeCache:
    """The bytecode on the volume."""

    cache: CacheDirectory

    def keep(self, environment: Path, contents: Contents) -> None:
        """Keep what runs in an environment have compiled, replacing older bytecode of the same packages.

        A module that several packages install is not kept, because it may be the other package's. Nor is bytecode that
        Python does not check against the time of its source (`bake` writes such): another build of the same version may
        have another source.
        """
        site = site_packages(environment)
        shared = shared_files(environment)
        for package, distribution in self._packages(environment, contents):
            self.cache.make_directory(package)
            if self.cache.trusts(package):
                _touch(package)
                paths = (path for path, _, _ in read_record(distribution) if path not in shared)
                for compiled in filter(_is_checked_by_time, _bytecode_files(paths, cache_tag(site))):
                    self._keep_file(package / compiled.relative_to(site), compiled)

    def restore(self, environment: Path, contents: Contents) -> None:
        """Link the kept bytecode of its packages into a new environment.

        A module that several packages install gets none, and loses what came with the environment that this one was
        built on: Python would use it for the other package's source if size and time are the same.
        """
        site = site_packages(environment)
        unsure = frozenset(map(str, _bytecode_files(shared_files(environment), cache_tag(site))))
        for compiled in unsure:
            Path(compiled).unlink(missing_ok=True)
        for package, _ in self._packages(environment, contents):
            with suppress(FileNotFoundError, NotADirectoryError, PermissionError):  # garbage collection may delete it
                if self.cache.trusts(package):
                    _touch(package)
                    self._restore_package(str(package), site, unsure)

    def _packages(self, environment: Path, contents: Contents) -> Iterator[tuple[Path, Path]]:
        """For each package of an environment, its directory here and its .dist-info directory there."""
        for name, distribution in distributions(environment).items():
            package = contents.packages[name]
            yield self.cache.bytecode / f"{name}-{package.version}-{package.source[:16]}", distribution

    def _restore_package(self, package: str, site: Path, unsure: Container[str]) -> None:
        """Link a package's bytecode, except existing files and files without a module (strings, as in hard_links)."""
        suffix = f".{cache_tag(site)}.pyc"
        for kept in files_below(package):
            if kept.name.endswith(suffix) and not kept.is_symlink() and kept.stat().st_uid in self.cache.trusted:
                target = str(site) + kept.path.removeprefix(package)
                if target in unsure:
                    continue
                with suppress(FileExistsError, FileNotFoundError):
                    os.mkdir(os.path.dirname(target))  # noqa: PTH102, PTH120
                with suppress(FileExistsError, FileNotFoundError):
                    link_or_copy(kept.path, target)

    def _keep_file(self, kept: Path, compiled: Path) -> None:
        """Replace a kept file atomically, because other containers read and write here too."""
        with suppress(FileNotFoundError):
            if kept.samefile(compiled):
                return
        self.cache.make_directory(kept.parent)
        temporary = kept.with_name(f"{kept.name}.{uuid4().hex}")
        link_or_copy(str(compiled), str(temporary))
        temporary.replace(kept)


def forget_unused_bytecode(cache: CacheDirectory, before: float) -> None:
    """Delete packages whose bytecode no environment has kept or restored since a time, by the volume's clock."""
    for package in cache.entries(cache.bytecode, PACKAGE_NAME):
        if package.lstat().st_mtime < before:
            cache.delete(package)


def _bytecode_files(paths: Iterable[str], tag: str) -> Iterator[Path]:
    """Where Python writes the bytecode of the modules among these files."""
    modules = (Path(path) for path in paths if path.endswith(".py"))
    return (path.parent / "__pycache__" / f"{path.stem}.{tag}.pyc" for path in modules if ".." not in path.parts)


def _is_checked_by_time(compiled: Path) -> bool:
    """Whether a file is bytecode that records the time and size of its source: the second word of it is zero (PEP 552).

    https://peps.python.org/pep-0552/
    """
    try:
        with compiled.open("rb", buffering=0) as file:
            return file.read(8)[4:] == bytes(4)
    except OSError:
        return False


def _touch(package: Path) -> None:
    """Note the use; if the directory is another user's, that user's runs will."""
    with suppress(PermissionError):
        os.utime(package, follow_symlinks=False)


def cache_tag(site: Path) -> str:
    """CPython's tag in the names of bytecode files; for other implementations nothing is found under it.

    CPython 3.3: https://docs.python.org/3/library/sys.html#sys.implementation (cache_tag)
    """
    return "cpython-" + site.parent.name.removeprefix("python").replace(".", "")
