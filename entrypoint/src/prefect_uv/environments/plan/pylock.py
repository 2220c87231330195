"""Resolved packages with their files and hashes, in the form of PEP 751, which `uv pip compile` writes and uv installs.

Read, filtered and written again here: what is not to be installed is left out before uv sees it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect_uv.environments.key.environment_contents import Package
from prefect_uv.environments.key.fingerprint import digest_fields, without_credentials
from prefect_uv.errors import HashMismatchError
from prefect_uv.project.files.requirement_lines import Requirement
from prefect_uv.project.files.toml_tables import inline_toml

PylockEntry = Mapping[str, Any]


@dataclass(frozen=True)
class Pylock:
    """Packages as uv resolved them: for one interpreter on this platform, or until `chosen` for any."""

    head: PylockEntry
    entries: tuple[PylockEntry, ...]

    @classmethod
    def read(cls, text: str, directory: Path) -> Pylock:
        """From uv's output; relative paths in it start from `directory`."""
        document = tomllib.loads(text)
        entries = tuple(_with_absolute_path(entry, directory) for entry in document.pop("packages", []))
        return cls(document, entries)

    @property
    def names(self) -> set[str]:
        """The packages."""
        return {entry["name"] for entry in self.entries}

    def without(self, names: Iterable[str]) -> Pylock:
        """All but these."""
        return Pylock(self.head, tuple(entry for entry in self.entries if entry["name"] not in {*names}))

    def without_directories(self) -> Pylock:
        """All but what would be built from source code that is here, which changes with each commit."""
        return Pylock(self.head, tuple(entry for entry in self.entries if "directory" not in entry))

    def chosen(self, versions: Mapping[str, str]) -> Pylock:
        """Those that are for this interpreter; what comes from an address may have no version here."""
        mine = (entry for entry in self.entries if entry["name"] in versions)
        return Pylock(
            self.head, tuple(entry for entry in mine if entry.get("version") in {None, versions[entry["name"]]})
        )

    def accepting(self, given: Sequence[Requirement], *, hashed: bool) -> Pylock:
        """Only the files whose hashes the requirements name, where they name any; uv 0.13.8 does not look at them.

        Args:
            given: the requirements.
            hashed: they name the hashes of everything, so that nothing else is accepted.

        Raises:
            HashMismatchError: a package has no such file.
        """
        entries = []
        for entry in self.entries:
            hashes = _given(entry, given)
            entries.append(_only(entry, hashes) if hashes or (hashed and "vcs" not in entry) else entry)
        if bad := [f"{entry['name']} {entry['version']}" for entry in entries if not _origin(entry)]:
            raise HashMismatchError(
                "The package index has no file with a hash that the requirements name.",
                "\n".join(bad),
                "Compile the requirements again if they lack the package, or if it was rebuilt on purpose; else ask who"
                " did it.",
            )
        return Pylock(self.head, tuple(entries))

    def packages(self) -> dict[str, Package]:
        """For the key: versions, and a digest of where the files come from and of their hashes."""
        return {
            entry["name"]: Package(str(entry.get("version", "")), digest_fields(_origin(entry)))
            for entry in self.entries
        }

    def write(self, path: Path) -> None:
        """For uv to install."""
        lines = [f"{key} = {inline_toml(value)}" for key, value in self.head.items()]
        for entry in self.entries:
            lines += ["", "[[packages]]", *(f"{key} = {inline_toml(value)}" for key, value in entry.items())]
        path.write_text("\n".join(lines) + "\n")


def _given(entry: PylockEntry, requirements: Iterable[Requirement]) -> set[str]:
    """The hashes for this version of a package."""
    mine = (item for item in requirements if item.name == entry["name"] and item.version in {"", entry.get("version")})
    return {mark for item in mine for mark in item.hashes}


def _with_absolute_path(entry: PylockEntry, directory: Path) -> PylockEntry:
    for kind in ("archive", "directory"):
        if place := entry.get(kind, {}).get("path"):
            return {**entry, kind: {**entry[kind], "path": str(directory / place)}}
    return entry


def _entry_files(entry: PylockEntry) -> Iterator[PylockEntry]:
    yield from entry.get("wheels", [])
    yield from (entry[kind] for kind in ("sdist", "archive") if kind in entry)


def _hashes(file: PylockEntry) -> list[str]:
    return [f"{algorithm}:{value}" for algorithm, value in sorted(file.get("hashes", {}).items())]


def _origin(entry: PylockEntry) -> list[str]:
    """Hashes where there are any, addresses else; a commit for a repository."""
    found = sorted(mark for file in _entry_files(entry) for mark in _hashes(file) or [_address(file)])
    vcs = entry.get("vcs", {})
    return [*found, *(str(vcs[key]) for key in ("commit-id", "subdirectory") if key in vcs)]


def _address(file: PylockEntry) -> str:
    return without_credentials(str(file.get("url") or file.get("path")))


def _only(entry: PylockEntry, hashes: set[str]) -> PylockEntry:
    kept = {**entry, "wheels": [file for file in entry.get("wheels", []) if hashes & {*_hashes(file)}]}
    dropped = {kind for kind in ("sdist", "archive") if kind in entry and not hashes & {*_hashes(entry[kind])}}
    return {key: value for key, value in kept.items() if key not in dropped and value != []}
