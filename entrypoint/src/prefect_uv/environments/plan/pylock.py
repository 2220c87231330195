"""Packages with their files and hashes in a pylock.toml (PEP 751): a project's own, or what `uv pip compile` writes.

In between, the packages that must not be installed are removed here. `packaging` refuses a document that does not
follow PEP 751. uv's own support is a preview (uv 0.13.8:
https://docs.astral.sh/uv/concepts/preview/#using-preview-features).
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from prefect_uv.cache_volume.full_disk import write_file
from prefect_uv.environments.key.environment_contents import Package
from prefect_uv.environments.key.fingerprint import digest_fields
from prefect_uv.errors import HashMismatchError, ProjectInvalidError, SyncError
from prefect_uv.project.files.requirement_lines import Requirement
from prefect_uv.project.files.text_files import read_text
from prefect_uv.project.lockfile.pylock_text import HINT

if TYPE_CHECKING:
    from packaging import pylock

    File = pylock.PackageWheel | pylock.PackageSdist | pylock.PackageArchive
    Place = TypeVar("Place", pylock.PackageWheel, pylock.PackageSdist, pylock.PackageArchive, pylock.PackageVcs)


@dataclass(frozen=True)
class Pylock:
    """Locked or resolved packages: for one interpreter on this platform, or for any until `chosen`."""

    document: pylock.Pylock

    @classmethod
    def read(cls, text: str, directory: Path) -> Pylock:
        """Read uv's output, whose relative paths are relative to `directory`.

        An empty list of environments, which pdm and Pipenv write, is left out: for uv 0.13.8 it accepts none.

        Raises:
            SyncError: it does not follow PEP 751.
        """
        from packaging import pylock  # noqa: PLC0415 (no warm start resolves)

        try:
            content = tomllib.loads(text)
            entries = [_with_regular_name(entry) for entry in content["packages"]]
            document = pylock.Pylock.from_dict({**content, "packages": entries})
        except (ValueError, LookupError, TypeError, AttributeError, pylock.PylockValidationError) as error:
            raise SyncError("uv's resolution is not a pylock.toml.", f"{type(error).__name__}: {error}") from None
        packages = [_with_absolute_paths(package, directory) for package in document.packages]
        return cls(replace(document, packages=packages, environments=document.environments or None))

    @classmethod
    def of_project(cls, file: Path) -> Pylock:
        """Read a project's file.

        Raises:
            ProjectInvalidError: it does not follow PEP 751.
        """
        try:
            return cls.read(read_text(file), file.parent)
        except SyncError as error:
            raise ProjectInvalidError(f"{file} does not follow PEP 751.", error.found, HINT) from None

    @property
    def names(self) -> set[str]:
        """The names of the packages."""
        return {package.name for package in self.document.packages}

    def without(self, names: Iterable[str]) -> Pylock:
        """All packages except these."""
        excluded = {*names}
        return self._only(lambda package: package.name not in excluded)

    def without_directories(self) -> Pylock:
        """All packages except local directories, whose source code changes with each commit."""
        return self._only(lambda package: package.directory is None)

    def chosen(self, versions: Mapping[str, str]) -> Pylock:
        """The packages for one interpreter, by version; one from a direct URL may have no version in the document.

        Of their wheels, those for this platform remain; all if there is none, which is for uv to report.
        """
        lock = self._only(
            lambda package: package.name in versions and _version(package) in {"", versions[package.name]}
        )
        return Pylock(replace(lock.document, packages=[*map(_for_this_platform, lock.document.packages)]))

    def accepting(self, requirements: Sequence[Requirement], *, hashed: bool) -> Pylock:
        """For packages with hashes in the requirements, keep only the files that have one; uv 0.13.8 ignores them.

        Args:
            requirements: the requirements.
            hashed: they name hashes for everything, so a file without a named hash is refused.

        Raises:
            HashMismatchError: no file of a package has one of its hashes.
        """
        packages = []
        for package in self.document.packages:
            hashes = _required_hashes(package, requirements)
            keep_all = not hashes and (not hashed or package.vcs is not None)
            packages.append(package if keep_all else _with_files(package, hashes))
        if mismatched := [f"{package.name} {_version(package)}" for package in packages if not _origin(package)]:
            raise HashMismatchError(
                "The package index has no file with a hash that the requirements name.",
                "\n".join(mismatched),
                "Compile the requirements again if they lack the package, or if it was rebuilt on purpose; else ask who"
                " did it.",
            )
        return Pylock(replace(self.document, packages=packages))

    def packages(self, selection: Sequence[str] = ()) -> dict[str, Package]:
        """The packages as the key needs them: a version, and a digest of the files' hashes or a repository's commit.

        Args:
            selection: uv's options that select groups and extras. They decide which files a package has if it has an
                entry for each of several groups.
        """
        entries: dict[str, list[pylock.Package]] = {}
        for package in self.document.packages:
            entries.setdefault(package.name, []).append(package)
        return {
            name: Package(
                _version(same[0]),
                digest_fields([*chain(*map(_origin, same)), *(selection if len(same) > 1 else ())]),
            )
            for name, same in entries.items()
        }

    def requirement_lines(self) -> list[str]:
        """The packages as lines that accept the same files; archives on this machine by their paths."""
        return [_requirement_line(package) for package in self.document.packages]

    def write(self, path: Path) -> None:
        """Write the file that uv installs."""
        import tomli_w  # noqa: PLC0415 (see read)

        write_file(path, tomli_w.dumps(self.document.to_dict()))

    def _only(self, accept: Callable[[pylock.Package], bool]) -> Pylock:
        return Pylock(replace(self.document, packages=[*filter(accept, self.document.packages)]))


def _with_regular_name(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give an entry's sdist the file name that PEP 625 requires.

    uv 0.13.8 accepts other names from an index, such as `a-1.0-beta.tar.gz`, but `packaging` does not. A pylock.toml
    may name the file at a URL, and then both use that name.
    """
    sdist = entry.get("sdist")
    if not sdist or "version" not in entry:
        return entry
    address = sdist.get("name") or sdist.get("url") or sdist["path"]
    suffix = ".zip" if urlsplit(address).path.endswith(".zip") else ".tar.gz"
    return {**entry, "sdist": {**sdist, "name": f"{entry['name']}-{entry['version']}{suffix}"}}


def _with_absolute_paths(package: pylock.Package, directory: Path) -> pylock.Package:
    """Make the paths of files and repositories absolute."""

    def absolute(place: Place) -> Place:
        return replace(place, path=str(directory / place.path)) if place.path else place

    wheels = [absolute(wheel) for wheel in package.wheels or ()] or None
    places = {field: getattr(package, field) for field in ("archive", "sdist", "vcs")}
    return replace(package, wheels=wheels, **{field: absolute(place) for field, place in places.items() if place})


def _requirement_line(package: pylock.Package) -> str:
    if package.archive and package.archive.path:
        return package.archive.path
    name = f"{package.name}=={package.version}" if package.version else package.name
    return " --hash=".join([name, *sorted(file_hash for file in _entry_files(package) for file_hash in _hashes(file))])


def _version(package: pylock.Package) -> str:
    return str(package.version or "")


def _required_hashes(package: pylock.Package, requirements: Iterable[Requirement]) -> set[str]:
    """The hashes that the requirements name for this version of a package."""
    versions = {"", _version(package)}
    matching = (item for item in requirements if item.name == package.name and item.version in versions)
    return {file_hash for item in matching for file_hash in item.hashes}


def _entry_files(package: pylock.Package) -> Iterator[File]:
    yield from package.wheels or ()
    yield from filter(None, (package.sdist, package.archive))


def _hashes(file: File) -> list[str]:
    return [f"{algorithm}:{value}" for algorithm, value in sorted(file.hashes.items())]


def _origin(package: pylock.Package) -> list[str]:
    """The files' hashes, which PEP 751 requires, or a repository's commit and subdirectory."""
    hashes = sorted(file_hash for file in _entry_files(package) for file_hash in _hashes(file))
    return [*hashes, *filter(None, (package.vcs.commit_id, package.vcs.subdirectory) if package.vcs else ())]


def _for_this_platform(package: pylock.Package) -> pylock.Package:
    """Keep only the wheels that can be installed here, with whatever Python."""
    from packaging import tags  # noqa: PLC0415 (no warm start resolves)

    platforms = {"any", *tags.platform_tags()}
    kept = [wheel for wheel in package.wheels or () if platforms & _platforms(wheel)]
    return replace(package, wheels=kept) if kept else package


def _platforms(wheel: pylock.PackageWheel) -> set[str]:
    """The platforms in a wheel's name.

    https://packaging.python.org/en/latest/specifications/binary-distribution-format/#file-name-convention
    """
    return {*wheel.filename.removesuffix(".whl").rpartition("-")[2].split(".")}


def _with_files(package: pylock.Package, hashes: set[str]) -> pylock.Package:
    """Keep only the files that have one of these hashes."""
    kept = [file for file in _entry_files(package) if hashes & {*_hashes(file)}]
    return replace(
        package,
        wheels=[wheel for wheel in package.wheels or () if wheel in kept] or None,
        sdist=package.sdist if package.sdist in kept else None,
        archive=package.archive if package.archive in kept else None,
    )
