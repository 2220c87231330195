"""Where the files of planned packages come from, as the lock or the resolution says."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from prefect_uv.environments.key.fingerprint import without_credentials
from prefect_uv.project.files.text_files import read_text

if TYPE_CHECKING:
    from prefect_uv.environments.plan.pylock import File, Pylock

PINNED_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
INDEX, ADDRESS, REPOSITORY = "index", "address", "repository"


@dataclass(frozen=True)
class PackageOrigin:
    """Where the files of a package come from.

    Attributes:
        kind: an index, a file's own address, or a repository.
        address: of that index, file or repository, without credentials.
        hosts: scheme and host of the files' addresses.
        hashed: the project pins the files by hashes, or the repository by a commit.
        wheels: the names of the wheels; empty if there are none, so that the package must be built.
    """

    kind: str
    address: str
    hosts: tuple[str, ...] = ()
    hashed: bool = False
    wheels: tuple[str, ...] = ()


Origins = dict[str, tuple[PackageOrigin, ...]]


def locked_origins(lock: Path, versions: Mapping[str, str], wheels: Path | None) -> Origins:
    """The origins of the packages of a uv.lock.

    uv 0.13.8: installs the files at the addresses in the lock, whatever indexes the variables name.
    https://docs.astral.sh/uv/concepts/projects/layout/#the-lockfile

    Args:
        lock: the lockfile.
        versions: what is installed, by name. A package with the same version from two indexes has two origins.
        wheels: the directory that everything is installed from instead; None for none.
    """
    found: Origins = {}
    for entry in tomllib.loads(read_text(lock)).get("package", ()):
        name, version = entry["name"], entry.get("version", "")
        if name in versions and version in {"", versions[name]}:
            origin = _locked_origin(entry, lock.parent)
            found[name] = (*found.get(name, ()), from_directory(origin, wheels) if wheels else origin)
    return found


def resolved_origins(lock: Pylock, hashed: Container[str] | None, wheels: Path | None) -> Origins:
    """The origins of the packages of a pylock.toml, or of what uv resolves.

    uv 0.13.9: names no index when it resolves, so each file's own address is an origin (covered by
    test_index_of_requirements). https://docs.astral.sh/uv/reference/cli/#uv-pip-compile--format

    Args:
        lock: the packages.
        hashed: the names of those whose hashes are the project's own and not those that the index has today; None for
            all.
        wheels: the directory that everything is installed from instead; None for none.
    """
    found: Origins = {}
    for package in lock.document.packages:
        pinned = hashed is None or package.name in hashed
        if package.vcs:
            commit = bool(PINNED_COMMIT.fullmatch(package.vcs.commit_id))
            origins = [PackageOrigin(REPOSITORY, _address(package.vcs.url or package.vcs.path or ""), hashed=commit)]
        else:
            files: list[File] = [*(package.wheels or ())]
            files += [file for file in (package.sdist, package.archive) if file]
            addresses = [file.url or file.path or "" for file in files]
            kind = ADDRESS if package.archive or not package.index else INDEX
            names = [wheel.filename for wheel in package.wheels or ()] + _wheel_names(addresses)
            own = addresses if kind == ADDRESS else [package.index or ""]
            origins = [
                PackageOrigin(kind, _address(one), _hosts(addresses), pinned, tuple(dict.fromkeys(names)))
                for one in own or [""]
            ]
        used = [from_directory(origin, wheels) for origin in origins] if wheels else origins
        found[package.name] = (*found.get(package.name, ()), *used)
    return found


def from_directory(origin: PackageOrigin, wheels: Path) -> PackageOrigin:
    """The origin of a package that is installed from a directory of wheels instead."""
    return replace(origin, kind=INDEX, address=wheels.resolve().as_uri(), hosts=())


def _locked_origin(entry: Mapping[str, Any], directory: Path) -> PackageOrigin:
    (kind, place), *_ = [item for item in entry["source"].items() if item[0] != "subdirectory"]
    if kind == "git":
        address, _, commit = str(place).partition("#")
        return PackageOrigin(
            REPOSITORY, _address(address.partition("?")[0]), hashed=bool(PINNED_COMMIT.fullmatch(commit))
        )
    files = [*entry.get("wheels", ()), *filter(None, (entry.get("sdist"),))]
    addresses = [str(file.get("url") or file.get("path") or file.get("filename") or "") for file in files]
    if kind in {"url", "path"}:
        addresses.append(str(place))
    address = place if "://" in str(place) else str((directory / str(place)).resolve())
    hashed = bool(files) and all(file.get("hash") for file in files)
    return PackageOrigin(
        INDEX if kind == "registry" else ADDRESS,
        _address(address),
        _hosts(addresses),
        hashed,
        tuple(dict.fromkeys(_wheel_names(addresses))),
    )


def _wheel_names(addresses: Iterable[str]) -> list[str]:
    names = (unquote(urlsplit(address).path).rpartition("/")[2] for address in addresses)
    return [name for name in names if name.endswith(".whl")]


def _hosts(addresses: Iterable[str]) -> tuple[str, ...]:
    parts = (urlsplit(without_credentials(address)) for address in addresses if "://" in address)
    return tuple(sorted({f"{part.scheme}://{part.netloc}" for part in parts if part.scheme != "file"}))


def _address(address: str) -> str:
    """An address without credentials and fragment; that of a path begins with `file://`."""
    if "://" not in address:
        return Path(address).as_uri() if address.startswith("/") else address
    return without_credentials(address).partition("#")[0]
