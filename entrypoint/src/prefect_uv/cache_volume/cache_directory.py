"""The layout of a cache directory.

Environments, unfinished builds and trash share `envs/`, so that a rename never crosses a mount. uv's cache may be a
separate mount, at the price of copies. Nothing of ours is inside it.

uv 0.13.8: `uv cache prune` deletes every top-level entry that it does not know (prune).
https://github.com/astral-sh/uv/blob/0.13.8/crates/uv-cache/src/lib.rs
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from prefect_uv.cache_volume.full_disk import write_file
from prefect_uv.cache_volume.volume import Volume

LAYOUT = "v1"
IN_USE = ".inuse"
IMPORT_BUNDLE = "imports-v1"
RUN_CACHE = ".uv"
MIRRORS = Path("git", "v1")
CODE = Path("code", "v1")
# The names of our own: nothing else on the volume is deleted.
LAYOUT_NAME = re.compile(r"(?:[a-z]+-)?v\d+")
KEY_NAME = re.compile(r"[0-9a-f]{64}(?:\.\d+)?")
BUILD_NAME = re.compile(r"(?:[0-9a-f]{1,12}|temporary)-[0-9a-f]{32}")
TRASH_NAME = re.compile(r".+-[0-9a-f]{32}")
MIRROR_NAME = re.compile(r"[0-9a-f]{32}(?:\.\d+)?")
CODE_NAME = re.compile(r"[0-9a-f]{64}\.tar|unfinished-[0-9a-f]{32}")
UV_CACHE_NAME = re.compile(r"uv-\d+(?:\.\d+)+")
SMALL_FILE_NAME = re.compile(
    rf"{KEY_NAME.pattern}|[0-9a-f]{{64}}-[0-9a-f]{{16}}|deployment-[0-9a-f-]{{36}}|python-[0-9a-f]{{12}}|run-[0-9a-f-]{{36}}|write-[0-9a-f]{{32}}"
)
DAY_SECONDS = 86400.0
NAME_TAKEN = {errno.ENOTEMPTY, errno.EEXIST}
MOUNT_TABLE = Path("/proc/self/mountinfo")
NETWORK_FILE_SYSTEMS = (
    "nfs",
    "cifs",
    "smb",
    "ceph",
    "glusterfs",
    "lustre",
    "fuse.",
    "9p",
    "afs",
    "beegfs",
    "gpfs",
    "orangefs",
)


@dataclass(frozen=True)
class CacheDirectory(Volume):
    """A cache directory and the paths in it, which need not exist.

    Attributes:
        uv_cache: uv's own cache, one per minor version of uv.
        read_only: nothing is written here.
    """

    uv_cache: Path
    read_only: bool = False

    @property
    def environments(self) -> Path:
        """Complete environments by key."""
        return self.root / "envs" / LAYOUT

    @property
    def builds(self) -> Path:
        """Unfinished environments, each in a directory with a work lock."""
        return self.root / "envs" / "tmp"

    @property
    def pythons(self) -> Path:
        """Interpreters installed by uv."""
        return self.root / "python"

    @property
    def mirrors(self) -> Path:
        """Snapshots of git repositories (`pull/git/repository_mirror.py`)."""
        return self.root / MIRRORS

    @property
    def code(self) -> Path:
        """Archives of code by their hashes (`pull/code_archive.py`)."""
        return self.root / CODE

    @property
    def index(self) -> Path:
        """Index entries by fingerprint (`environments/key/fingerprint_index.py`)."""
        return self.root / "index" / LAYOUT

    @property
    def archives(self) -> Path:
        """Environments as archives, if this volume is far away (`environments/archives/`)."""
        return self.root / "archives" / LAYOUT

    @property
    def bytecode(self) -> Path:
        """Compiled bytecode by package (`environments/build/bytecode_cache.py`)."""
        return self.root / "bytecode" / LAYOUT

    @property
    def failures(self) -> Path:
        """Recent build failures (`environments/build/recent_failures.py`)."""
        return self.root / "failed" / LAYOUT

    @property
    def verdicts(self) -> Path:
        """What policies say about environments (`environments/policy/verdict.py`)."""
        return self.root / "policy" / LAYOUT

    @property
    def locks(self) -> Path:
        """Lock files: work locks by key, and a few with fixed names."""
        return self.root / "locks"

    @property
    def areas(self) -> tuple[Path, ...]:
        """Every directory in which garbage is collected."""
        kept = (self.environments, self.mirrors, self.code, self.pythons, self.index, self.bytecode, self.failures)
        return (*kept, self.verdicts, self.locks, self.builds, self.trash)

    def prepare(self) -> None:
        """Create the directories that every build needs. Those of earlier layouts stay until they are garbage.

        Raises:
            LinkFoundError: there is a link in the place of one.
        """
        for directory in (self.environments, self.builds, self.trash, self.index, self.failures, self.locks):
            self.make_directory(directory)
        if self.uv_cache.is_relative_to(self.root):
            self.make_directory(self.uv_cache)
        else:
            self.uv_cache.mkdir(parents=True, exist_ok=True)

    def write(self, path: Path, text: str) -> None:
        """Write a small file atomically: readers see the old content or the new one."""
        temporary = self.builds / f"write-{uuid4().hex}"
        try:
            write_file(temporary, text)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def now(self) -> float:
        """The time by the volume's own clock, comparable with the times of its files."""
        from tempfile import TemporaryFile  # noqa: PLC0415 (rarely needed)

        with TemporaryFile(dir=self.locks) as clock:
            return os.fstat(clock.fileno()).st_mtime


def rename_into_place(finished: Path, target: Path) -> None:
    """Give a finished directory its name, unless another process was faster."""
    try:
        finished.rename(target)
    except OSError as error:
        if error.errno not in NAME_TAKEN:
            raise


def is_executable(path: Path) -> bool:
    """Whether the file system is not mounted noexec: extension modules are mapped as executable.

    Linux 6.12: mmap(2) fails with EPERM. https://man7.org/linux/man-pages/man2/mmap.2.html
    """
    return not os.statvfs(path).f_flag & os.ST_NOEXEC


def crosses_nodes(path: Path) -> bool:
    """Whether other nodes may use this file system, with locks that this node does not see."""
    return _mount_of(path)[1].startswith(NETWORK_FILE_SYSTEMS)


def ends_with_container(path: Path) -> bool:
    """Whether a path is in the container's own file system, where nothing is mounted, and which is deleted with it."""
    return _mount_of(path)[0] == "/"


def _mount_of(path: Path) -> tuple[str, str]:
    """The mount point and the file system type of a path; both empty if they are not known."""
    return next((mount for mount in _mounts() if path.resolve().is_relative_to(mount[0])), ("", ""))


def _mounts() -> list[tuple[str, str]]:
    """Mount points and file system types, longest path first.

    Linux 2.6.26: /proc/PID/mountinfo. https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
    """
    lines = [line.partition(" - ") for line in MOUNT_TABLE.read_text().splitlines()]
    mounts = [(left.split()[4].replace("\\040", " "), right.split()[0]) for left, _, right in lines]
    return sorted(mounts, key=lambda mount: len(mount[0]), reverse=True)
