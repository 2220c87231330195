"""Where everything is below a cache directory.

Environments, builds under way and garbage share `envs/`, so that a rename never crosses a mount; uv's cache may be
mounted apart, at the price of copies. Nothing here is inside another one's reach: `uv cache prune` deletes what it does
not know.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

LAYOUT = "v1"
IN_USE = ".inuse"
MIRRORS = Path("git", "v1")
NOT_EMPTY = {errno.ENOTEMPTY, errno.EEXIST}
SHARED_UMASK = 0o002
MOUNTS = Path("/proc/self/mountinfo")
NETWORK = ("nfs", "cifs", "smb", "ceph", "glusterfs", "lustre", "fuse.", "9p", "afs", "beegfs", "gpfs", "orangefs")


@dataclass(frozen=True)
class CacheDirectory:
    """A cache directory and the places in it; the places need not exist.

    Attributes:
        root: the cache directory.
        uv_cache: uv's own cache, one for each minor version of uv.
        read_only: nothing may or can be written.
    """

    root: Path
    uv_cache: Path
    read_only: bool = False

    @property
    def environments(self) -> Path:
        """Whole environments by key; a name exists only when the environment is complete."""
        return self.root / "envs" / LAYOUT

    @property
    def builds(self) -> Path:
        """Environments under way, each in a directory with a claim."""
        return self.root / "envs" / "tmp"

    @property
    def trash(self) -> Path:
        """What is being deleted."""
        return self.root / "envs" / "trash"

    @property
    def pythons(self) -> Path:
        """Interpreters that uv has installed."""
        return self.root / "python"

    @property
    def mirrors(self) -> Path:
        """Snapshots of repositories, by what pull steps ask for (`pull/git/repository_mirror.py`)."""
        return self.root / MIRRORS

    @property
    def index(self) -> Path:
        """Fingerprint of the raw inputs -> key."""
        return self.root / "index" / LAYOUT

    @property
    def bytecode(self) -> Path:
        """What Python has compiled, by package (`environments/build/bytecode_cache.py`)."""
        return self.root / "bytecode" / LAYOUT

    @property
    def failures(self) -> Path:
        """Builds that failed a short while ago, by key."""
        return self.root / "failed" / LAYOUT

    @property
    def locks(self) -> Path:
        """Claims on work, by key."""
        return self.root / "locks"

    def prepare(self) -> None:
        """Make the places; those of an earlier layout stay beside them until they are garbage."""
        for place in (self.environments, self.builds, self.trash, self.index, self.failures, self.locks):
            place.mkdir(parents=True, exist_ok=True)
        self.uv_cache.mkdir(parents=True, exist_ok=True)

    def write(self, path: Path, text: str) -> None:
        """Write a small file at once: readers see the old one or the new one."""
        aside = self.builds / f"write-{uuid4().hex}"
        try:
            aside.write_text(text)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)

    def discard(self, path: Path) -> None:
        """Move a directory to the trash, at once; whoever is in it keeps what is open."""
        self.trash.mkdir(parents=True, exist_ok=True)
        path.rename(self.trash / f"{path.name}-{uuid4().hex}")

    def now(self) -> float:
        """The time by the volume's own clock, to compare with the times of its files; it leaves no file behind."""
        with tempfile.TemporaryFile(dir=self.locks) as clock:
            return os.fstat(clock.fileno()).st_mtime


def rename_into_place(aside: Path, name: Path) -> None:
    """Give a finished directory its name, unless somebody was first."""
    try:
        aside.rename(name)
    except OSError as error:
        if error.errno not in NOT_EMPTY:
            raise


@contextmanager
def shared_umask() -> Iterator[None]:
    """What is written meanwhile, by us and our children, can be used by our group: arbitrary uids share group 0."""
    before = os.umask(SHARED_UMASK)
    try:
        yield
    finally:
        os.umask(before)


def is_executable(path: Path) -> bool:
    """Whether files of this file system may be mapped executable; extension modules need that."""
    return not os.statvfs(path).f_flag & os.ST_NOEXEC


def crosses_nodes(path: Path) -> bool:
    """Whether the file system may be in use on other nodes, whose locks we may not see."""
    kind = next((kind for mount, kind in _mounts() if path.resolve().is_relative_to(mount)), "")
    return kind.startswith(NETWORK)


def _mounts() -> list[tuple[str, str]]:
    """Mount points and file system types, the longest path first (proc(5), mountinfo)."""
    lines = [line.partition(" - ") for line in MOUNTS.read_text().splitlines()]
    mounts = [(left.split()[4].replace("\\040", " "), right.split()[0]) for left, _, right in lines]
    return sorted(mounts, key=lambda mount: len(mount[0]), reverse=True)
