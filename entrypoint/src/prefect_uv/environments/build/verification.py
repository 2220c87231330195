"""Verification: every file of an environment is compared with the RECORD of its package.

uv 0.13.8: reads the names of .dist-info directories and not their RECORD. https://github.com/astral-sh/uv/issues/19412
RECORD and .dist-info: https://packaging.python.org/en/latest/specifications/recording-installed-packages/
"""

from __future__ import annotations

import base64
import csv
import errno
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from prefect_uv.environments.key.environment_contents import Contents
from prefect_uv.package_names import normalized
from prefect_uv.processes.signals import raise_noted_signal
from prefect_uv.processes.subprocesses import run_command
from prefect_uv.settings.tool_variables import variables_for_builds

LISTED_FINDINGS = 20
FIND_PREFECT = "import importlib.util as u; s = u.find_spec('prefect'); print(s.origin if s else None)"


def site_packages(environment: Path) -> Path:
    """The environment's site-packages directory.

    Raises:
        FileNotFoundError: there is none.
    """
    directory = next((environment / "lib").glob("python*/site-packages"), None)
    if directory is None:
        raise FileNotFoundError(errno.ENOENT, "no site-packages", str(environment))
    return directory


def distributions(environment: Path) -> dict[str, Path]:
    """The .dist-info directories by normalized name."""
    directories = site_packages(environment).glob("*.dist-info")
    return {normalized(path.name.partition("-")[0]): path for path in directories}


def installed_versions(environment: Path) -> dict[str, str]:
    """The versions of the installed distributions by normalized name."""
    directories = distributions(environment)
    return {name: path.name.removesuffix(".dist-info").rpartition("-")[2] for name, path in directories.items()}


def read_record(distribution: Path) -> Iterator[tuple[str, str, str]]:
    """Path, hash and size of each file of a distribution, from its RECORD; hash and size may be empty.

    A RECORD that is not CSV is named as a file with an impossible size, so that the distribution counts as damaged.
    There are thousands of files: strings take a third of the time of paths.
    """
    parent = str(distribution.parent)
    with (distribution / "RECORD").open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        try:
            for row in filter(None, csv.reader(file)):
                path, digest, size = [*row, "", ""][:3]
                yield os.path.join(parent, path), digest, size  # noqa: PTH118
        except csv.Error:
            yield file.name, "", "-1"


def damaged_files(environment: Path, *, hashes: bool = False) -> dict[str, list[str]]:
    """By distribution, the files that are missing or differ from its RECORD; empty if all are intact.

    A file that several packages install is intact if it is what one of them says.

    Args:
        environment: its directory.
        hashes: compare hashes too, not only sizes.
    """
    present = dict(sorted(distributions(environment).items()))
    records = {name: directory for name, directory in present.items() if (directory / "RECORD").is_file()}
    found = {name: list(_differing_files(directory, hashes=hashes)) for name, directory in records.items()}
    intact = _intact_elsewhere({path for files in found.values() for path in files}, records.values(), hashes=hashes)
    found = {name: [path for path in files if path not in intact] for name, files in found.items()}
    found |= {name: ["has no RECORD"] for name in present.keys() - records.keys()}
    return {name: files for name, files in found.items() if files}


def _differing_files(distribution: Path, *, hashes: bool) -> Iterator[str]:
    raise_noted_signal()
    return (row[0] for row in read_record(distribution) if not _is_intact(*row, hashes=hashes))


def _intact_elsewhere(paths: set[str], records: Iterable[Path], *, hashes: bool) -> frozenset[str]:
    """Those of the differing files that are what another package says; no RECORD is read twice if there are none."""
    if not paths:
        return frozenset()
    rows = (row for distribution in records for row in read_record(distribution) if row[0] in paths)
    return frozenset(row[0] for row in rows if _is_intact(*row, hashes=hashes))


def mismatches(environment: Path, contents: Contents, *, hashes: bool = False) -> dict[str, list[str]]:
    """By package, how the environment differs from its plan: packages too many or too few, and damaged files."""
    installed, planned = installed_versions(environment).keys(), contents.packages.keys()
    findings = {name: ["is installed but not planned"] for name in installed - planned}
    findings |= {name: ["is planned but not installed"] for name in planned - installed}
    return {**findings, **damaged_files(environment, hashes=hashes)}


def check_built(environment: Path, contents: Contents, environ: Mapping[str, str]) -> dict[str, list[str]]:
    """`mismatches`, and whether the environment's Python finds Prefect inside the environment."""
    findings = mismatches(environment, contents)
    command = [str(environment / "bin" / "python"), "-I", "-c", FIND_PREFECT]
    finished = run_command(command, env=variables_for_builds(environ))
    origin = Path(finished.stdout.strip())
    if finished.exit_code or not origin.resolve().is_relative_to(environment.resolve()):
        findings["prefect"] = [f"is found at {finished.stdout.strip() or finished.report}"]
    return findings


def list_findings(findings: Mapping[str, list[str]]) -> str:
    """The first findings, one per line."""
    return "\n".join([f"{name}: {line}" for name, lines in findings.items() for line in lines][:LISTED_FINDINGS])


def _is_intact(path: str, digest: str, size: str, *, hashes: bool) -> bool:
    try:
        if size and os.stat(path).st_size != int(size):  # noqa: PTH116
            return False
        return not hashes or not digest or _record_digest(path, digest.partition("=")[0]) == digest
    except (OSError, ValueError):  # ValueError: a size that is no number, an unknown algorithm, NUL in a path
        return False


def _record_digest(path: str, algorithm: str) -> str:
    """A file's digest in RECORD's form: the algorithm and unpadded URL-safe base64."""
    value = hashlib.new(algorithm, Path(path).read_bytes()).digest()
    return f"{algorithm}={base64.urlsafe_b64encode(value).decode().rstrip('=')}"
