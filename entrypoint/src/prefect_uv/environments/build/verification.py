"""Is an environment what it should be? uv only looks at the names of directories, so every file is looked at here."""

from __future__ import annotations

import base64
import csv
import errno
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from prefect_uv.environments.key.environment_contents import Contents
from prefect_uv.package_names import normalized
from prefect_uv.processes.subprocesses import run_command

SHOWN = 20
FIND_PREFECT = "import importlib.util as u; s = u.find_spec('prefect'); print(s.origin if s else None)"


def site_packages(environment: Path) -> Path:
    """The environment's site-packages directory.

    Raises:
        FileNotFoundError: it has none.
    """
    found = next((environment / "lib").glob("python*/site-packages"), None)
    if found is None:
        raise FileNotFoundError(errno.ENOENT, "no site-packages", str(environment))
    return found


def distributions(environment: Path) -> dict[str, Path]:
    """The .dist-info directories by normalized name."""
    found = site_packages(environment).glob("*.dist-info")
    return {normalized(path.name.partition("-")[0]): path for path in found}


def installed(environment: Path) -> dict[str, str]:
    """Names and versions of the installed distributions."""
    found = distributions(environment)
    return {name: path.name.removesuffix(".dist-info").rpartition("-")[2] for name, path in found.items()}


def read_record(distribution: Path) -> Iterator[tuple[str, str, str]]:
    """Path, hash and size of each file of a distribution, as its RECORD says.

    Thousands of files: strings take a third of the time of paths.
    """
    parent = str(distribution.parent)
    with (distribution / "RECORD").open(newline="") as file:
        for row in filter(None, csv.reader(file)):
            path, digest, size = [*row, "", ""][:3]
            yield os.path.join(parent, path), digest, size  # noqa: PTH118


def damaged_files(environment: Path, *, hashes: bool = False) -> dict[str, list[str]]:
    """By distribution, what is missing or not as its RECORD says; nothing when the environment is whole."""
    found: dict[str, list[str]] = {}
    for name, distribution in sorted(distributions(environment).items()):
        if not (distribution / "RECORD").is_file():
            found[name] = ["has no RECORD"]
        elif bad := [row[0] for row in read_record(distribution) if not _whole(*row, hashes=hashes)]:
            found[name] = bad
    return found


def mismatches(environment: Path, contents: Contents, *, hashes: bool = False) -> dict[str, list[str]]:
    """By package, why the environment is not what was planned: which there are, and their files."""
    there = installed(environment)
    found = {name: ["is installed but not planned"] for name in there.keys() - contents.packages.keys()}
    found |= {name: ["is planned but not installed"] for name in contents.packages.keys() - there.keys()}
    return {**found, **damaged_files(environment, hashes=hashes)}


def check_built(environment: Path, contents: Contents, environ: Mapping[str, str]) -> dict[str, list[str]]:
    """The same, and whether Prefect is where it is expected."""
    found = mismatches(environment, contents)
    finished = run_command([environment / "bin" / "python", "-I", "-c", FIND_PREFECT], env=environ)
    origin = Path(finished.stdout.strip())
    if finished.exit_code or not origin.resolve().is_relative_to(environment.resolve()):
        found["prefect"] = [f"is found at {finished.stdout.strip() or finished.report}"]
    return found


def list_findings(found: Mapping[str, list[str]]) -> str:
    """The first of the findings, a line each."""
    return "\n".join([f"{name}: {line}" for name, lines in found.items() for line in lines][:SHOWN])


def _whole(path: str, digest: str, size: str, *, hashes: bool) -> bool:
    try:
        if size and os.stat(path).st_size != int(size):  # noqa: PTH116
            return False
        return not hashes or not digest or _record_digest(path, digest.partition("=")[0]) == digest
    except FileNotFoundError:
        return False


def _record_digest(path: str, algorithm: str) -> str:
    """As in RECORD: the algorithm and the unpadded URL-safe base64 digest."""
    value = hashlib.new(algorithm, Path(path).read_bytes()).digest()
    return f"{algorithm}={base64.urlsafe_b64encode(value).decode().rstrip('=')}"
