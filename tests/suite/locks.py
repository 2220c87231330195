"""Run `uv lock` once per test run for each project, because many tests start from the same lockfile.

The lockfile depends on the project's files, the arguments, the variables and the index. A project that names a test's
own index, which uses plain HTTP, is locked each time, because the packages on it change.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.suite import mark

SECONDS = 120
READ_BY_UV = ("*.toml", "*.lock", "*.py", "*.txt", "*.cfg", ".python-version")
TEST_INDEX = b"http://"


def lock_once(command: Sequence[str], directory: Path, environment: Mapping[str, str]) -> None:
    """Run this command, which writes lockfiles below the directory, or restore the files that it wrote the last time.

    Raises:
        RuntimeError: it failed; the message has its output.
    """
    folder, key = mark.folder(), _key(command, directory, environment)
    if folder is None or not key:
        _run(command, directory, environment)
        return
    record = folder / f"lock-{key}.json"
    if not record.exists():
        _run(command, directory, environment)
        written = record.with_suffix(f".{os.getpid()}")
        written.write_text(json.dumps(dict(_lockfiles(directory))))
        written.rename(record)
    for name, text in json.loads(record.read_text()).items():
        (directory / name).write_text(text)


def _run(command: Sequence[str], directory: Path, environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        list(command),
        cwd=directory,
        env=dict(environment),
        check=False,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} exited with code {done.returncode}:\n{done.stderr}")


def _lockfiles(directory: Path) -> Iterator[tuple[str, str]]:
    for path in directory.rglob("*.lock"):
        yield str(path.relative_to(directory)), path.read_text()


def _key(command: Sequence[str], directory: Path, environment: Mapping[str, str]) -> str:
    """A digest of everything that the lockfile depends on; empty if a test's own index is used."""
    variables = {name: value for name, value in environment.items() if name.startswith("UV_")}
    parts = [json.dumps([list(command), variables], sort_keys=True).replace(str(directory), "").encode()]
    for path in sorted({path for pattern in READ_BY_UV for path in directory.rglob(pattern)}):
        parts += [str(path.relative_to(directory)).encode(), path.read_bytes()]
    if any(TEST_INDEX in part for part in parts):
        return ""
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
