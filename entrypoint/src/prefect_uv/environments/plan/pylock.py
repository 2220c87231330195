"""Resolved packages with their files and hashes, in the form of PEP 751, which `uv pip compile` writes and uv installs.

Read, filtered and written again here: what is not to be installed is left out before uv sees it. `packaging` knows the
form and refuses what is not in it; uv 0.13.8 calls its own support a preview.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from prefect_uv.environments.key.environment_contents import Package
from prefect_uv.environments.key.fingerprint import digest_fields
from prefect_uv.errors import HashMismatchError
from prefect_uv.project.files.requirement_lines import Requirement

if TYPE_CHECKING:
    from packaging import pylock

    File = pylock.PackageWheel | pylock.PackageSdist | pylock.PackageArchive


@dataclass(frozen=True)
class Pylock:
    """Packages as uv resolved them: for one interpreter on this platform, or until `chosen` for any."""

    document: pylock.Pylock

    @classmethod
    def read(cls, text: str, directory: Path) -> Pylock:
        """From uv's output; relative paths in it start from `directory`."""
        from packaging import pylock  # noqa: PLC0415 (no warm start resolves)

        content = tomllib.loads(text)
        entries = [_with_regular_name(entry) for entry in content["packages"]]
        document = pylock.Pylock.from_dict({**content, "packages": entries})
        return cls(
            replace(document, packages=[_with_absolute_path(package, directory) for package in document.packages])
        )

    @property
    def names(self) -> set[str]:
        """The packages."""
        return {package.name for package in self.document.packages}

    def without(self, names: Iterable[str]) -> Pylock:
        """All but these."""
        left_out = {*names}
        return self._only(lambda package: package.name not in left_out)

    def without_directories(self) -> Pylock:
        """All but what would be built from source code that is here, which changes with each commit."""
        return self._only(lambda package: package.directory is None)

    def chosen(self, versions: Mapping[str, str]) -> Pylock:
        """Those that are for this interpreter; what comes from an address may have no version here."""
        return self._only(
            lambda package: package.name in versions and _version(package) in {"", versions[package.name]}
        )

    def accepting(self, given: Sequence[Requirement], *, hashed: bool) -> Pylock:
        """Only the files whose hashes the requirements name, where they name any; uv 0.13.8 does not look at them.

        Args:
            given: the requirements.
            hashed: they name the hashes of everything, so that nothing else is accepted.

        Raises:
            HashMismatchError: a package has no such file.
        """
        packages = []
        for package in self.document.packages:
            hashes = _given(package, given)
            every = not hashes and (not hashed or package.vcs is not None)
            packages.append(package if every else _with_files(package, hashes))
        if bad := [f"{package.name} {_version(package)}" for package in packages if not _origin(package)]:
            raise HashMismatchError(
                "The package index has no file with a hash that the requirements name.",
                "\n".join(bad),
                "Compile the requirements again if they lack the package, or if it was rebuilt on purpose; else ask who"
                " did it.",
            )
        return Pylock(replace(self.document, packages=packages))

    def packages(self) -> dict[str, Package]:
        """For the key: versions, and a digest of the files' hashes, or of a repository's commit."""
        found = self.document.packages
        return {package.name: Package(_version(package), digest_fields(_origin(package))) for package in found}

    def write(self, path: Path) -> None:
        """For uv to install."""
        import tomli_w  # noqa: PLC0415 (see read)

        path.write_text(tomli_w.dumps(self.document.to_dict()))

    def _only(self, wanted: Callable[[pylock.Package], bool]) -> Pylock:
        return Pylock(replace(self.document, packages=[*filter(wanted, self.document.packages)]))


def _with_regular_name(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """An entry whose sdist has the file name that PEP 625 demands.

    uv 0.13.8 takes other names from an index, such as `a-1.0-beta.tar.gz`, and `packaging` does not. In a pylock.toml,
    the file at an address may be given a name, and then both use that one.
    """
    sdist = entry.get("sdist")
    if not sdist or "version" not in entry:
        return entry
    address = sdist.get("name") or sdist.get("url") or sdist["path"]
    suffix = ".zip" if urlsplit(address).path.endswith(".zip") else ".tar.gz"
    return {**entry, "sdist": {**sdist, "name": f"{entry['name']}-{entry['version']}{suffix}"}}


def _with_absolute_path(package: pylock.Package, directory: Path) -> pylock.Package:
    """With paths that can be read from anywhere."""
    if package.archive and package.archive.path:
        return replace(package, archive=replace(package.archive, path=str(directory / package.archive.path)))
    return package


def _version(package: pylock.Package) -> str:
    return str(package.version or "")


def _given(package: pylock.Package, requirements: Iterable[Requirement]) -> set[str]:
    """The hashes for this version of a package."""
    versions = {"", _version(package)}
    mine = (item for item in requirements if item.name == package.name and item.version in versions)
    return {mark for item in mine for mark in item.hashes}


def _entry_files(package: pylock.Package) -> Iterator[File]:
    yield from package.wheels or ()
    yield from filter(None, (package.sdist, package.archive))


def _hashes(file: File) -> list[str]:
    return [f"{algorithm}:{value}" for algorithm, value in sorted(file.hashes.items())]


def _origin(package: pylock.Package) -> list[str]:
    """The files' hashes, which PEP 751 demands; a commit for a repository."""
    found = sorted(mark for file in _entry_files(package) for mark in _hashes(file))
    return [*found, *filter(None, (package.vcs.commit_id, package.vcs.subdirectory) if package.vcs else ())]


def _with_files(package: pylock.Package, hashes: set[str]) -> pylock.Package:
    """Only the files that have one of these hashes."""
    kept = [file for file in _entry_files(package) if hashes & {*_hashes(file)}]
    return replace(
        package,
        wheels=[wheel for wheel in package.wheels or () if wheel in kept] or None,
        sdist=package.sdist if package.sdist in kept else None,
        archive=package.archive if package.archive in kept else None,
    )
