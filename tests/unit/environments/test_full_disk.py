"""A full disk: the error names the file system that is full, and only a full cache volume makes room on the volume.

The real program runs in a mount namespace of its own, with small file systems.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from images.family import ROOT
from prefect_uv.cache_volume.full_disk import reported_path
from prefect_uv.image_facts import Image
from tests.unit.conftest import Origin
from tests.unit.etl import Etl

PROGRAM = """
import json, sys
from prefect_uv.image_facts import Image
facts = Image(**json.loads(sys.argv.pop()))
Image.read = classmethod(lambda *_: facts)
from prefect_uv.__main__ import main
main()
"""
MOUNT = 'mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && exec "$@"'
MOUNTED = ["unshare", "--mount", "--map-root-user", "sh", "-c", MOUNT, "sh"]
"""Runs a command with a tmpfs; the first two words are the options and the path of the mount."""
BACKEND = """
import tempfile
def build_wheel(*_, **__):
    with tempfile.NamedTemporaryFile() as file:
        file.write(bytes(100_000))
        file.flush()
    raise SystemExit("there was space")
"""

Sync = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def sync(etl: Etl, image: Image, tmp_path: Path) -> Sync:
    """Run `prefect-uv sync` with a small file system at a path; the volume has an environment that nobody uses."""
    for name in ("cache", "tmp", "uv"):
        (tmp_path / name).mkdir()
    unused = tmp_path / "cache" / "envs" / "v1" / "unused"
    unused.mkdir(parents=True)
    (unused / ".inuse").touch()

    def run(options: str, path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        environ = {
            **os.environ,
            "TMPDIR": str(tmp_path / "tmp"),
            "PREFECT_UV_CACHE_DIR": str(tmp_path / "cache"),
            "PYTHONPATH": str(ROOT / "entrypoint" / "src"),
            **variables,
        }
        words = [*MOUNTED, options, str(path), sys.executable, "-c", PROGRAM, "sync", json.dumps(asdict(image))]
        return subprocess.run(
            words, cwd=etl.directory, env=environ, check=False, capture_output=True, text=True, timeout=60
        )

    return run


def _is_disk_full(finished: subprocess.CompletedProcess[str], full: Path, cache: Path) -> bool:
    """Whether it ended with the error that names this file system, and nothing was removed from the volume."""
    named = f"error[disk-full]: No space is left on {full}." in finished.stderr
    kept = (cache / "envs" / "v1" / "unused").is_dir() and "removing what no run uses" not in finished.stderr
    return finished.returncode == 77 and named and kept


def _source_distribution(folder: Path, name: str) -> None:
    """Write a source distribution whose build needs space in the temporary directory."""
    build = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    files = {
        "pyproject.toml": f'{build}[project]\nname = "{name}"\nversion = "2.0"\n',
        "backend.py": BACKEND,
        "PKG-INFO": f"Metadata-Version: 2.2\nName: {name}\nVersion: 2.0\n",
    }
    with tarfile.open(folder / f"{name}-2.0.tar.gz", "w:gz") as archive:
        for path, text in files.items():
            entry = tarfile.TarInfo(f"{name}-2.0/{path}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))


def test_full_temporary_directory(etl: Etl, sync: Sync, tmp_path: Path) -> None:
    """A build that finds no space in /tmp removes nothing from the cache volume."""
    _source_distribution(etl.wheels, "bulky")
    etl.write("prefect", "bulky")
    etl.lock()
    finished = sync("size=64k", tmp_path / "tmp")
    assert _is_disk_full(finished, tmp_path / "tmp", tmp_path / "cache"), finished.stderr


def test_full_cache_of_uv(sync: Sync, tmp_path: Path) -> None:
    """uv's cache is on a file system of its own, so removing environments would not help."""
    finished = sync("size=8k", tmp_path / "uv", UV_CACHE_DIR=str(tmp_path / "uv"))
    assert _is_disk_full(finished, tmp_path / "uv", tmp_path / "cache"), finished.stderr


@pytest.mark.parametrize("options", ["size=8k", "size=40k", "size=4m,nr_inodes=30"])
def test_full_cache_volume(sync: Sync, tmp_path: Path, options: str) -> None:
    """The error names the volume, after one attempt to make room on it."""
    finished = sync(options, tmp_path / "cache")
    assert f"error[volume-full]: No space is left on {tmp_path / 'cache'}." in finished.stderr
    assert finished.stderr.count("removing what no run uses, then trying once more") == 1
    assert finished.returncode == 77


CLONE = """
import sys
from pathlib import Path
from prefect_uv.log.mask import Mask
from prefect_uv.log.run_log import RunLog
from prefect_uv.pull.git.git_commands import CloneRequest, Git, clone_repository
request = CloneRequest(sys.argv[1], Path(sys.argv[2]))
clone_repository(Git(request, {"LC_ALL": "C", "PATH": "/bin:/usr/bin"}, Path("/"), (0,), 60, RunLog(Mask())))
"""


@pytest.mark.parametrize("options", ["size=8k", "size=500k", "size=4m,nr_inodes=60"])
def test_full_checkout(origin: Origin, tmp_path: Path, options: str) -> None:
    """The error of a clone names the file system, also where git does not say why it cannot write."""
    full = tmp_path / "full"
    full.mkdir()
    for number in range(40):
        origin.commit(f"file{number}", f"{number}" * 20_000)
    words = [*MOUNTED, options, str(full), sys.executable, "-c", CLONE, origin.url, str(full / "clone")]
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "entrypoint" / "src")}
    finished = subprocess.run(words, env=environ, check=False, capture_output=True, text=True, timeout=60)
    assert f"CheckoutFullError: No space is left on {full} for the clone of {origin.url}." in finished.stderr


@pytest.mark.parametrize(
    ("report", "path"),
    [
        (
            "error: x\n  cause: failed to write to file `/c/a b`: No space left on device (os error 28)",
            "/c/a b",
        ),
        ("failed to copy file from /c/uv/x to /t/y: Disk quota exceeded (os error 122)", "/t/y"),
        ("fatal: cannot copy '/usr/share/x' to '/r/.git/x': No space left on device", "/r/.git/x"),
        ("  File '/c/uv/lib/x.py', line 3\nOSError: [Errno 28] No space left on device: '/t/x'", "/t/x"),
        ("OSError: [Errno 28] No space left on device: '/c/x' -> '/t/y'", "/t/y"),
        ("/nowhere/cc1: fatal error: error writing to /tmp/ccE.s: No space left on device", "/tmp/ccE.s"),
        ("/bin/sh: final link failed: No space left on device", None),
        ("fatal: write error: No space left on device", None),
        ("/c/uv/x: Permission denied", None),
    ],
)
def test_reported_path(report: str, path: str | None) -> None:
    """The path that could not be written is found in what uv, git, Python and compilers say."""
    assert reported_path(report) == (path and Path(path))
