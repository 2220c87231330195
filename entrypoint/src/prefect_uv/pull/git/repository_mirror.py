"""Snapshots of clones on the cache volume, so that a warm pull transfers only what is new.

<cache>/git/v1/<request>/<commit>/    the `.git` directory of a finished clone, which never changes

Snapshots are made in `tmp` and renamed, so kills and other containers never leave half of one. A pull holds a lease on
its mirror, and garbage collection (`environments/garbage/garbage_collection.py`) removes mirrors that nobody uses.

git 2.39: the files of a `.git` directory. https://git-scm.com/docs/gitrepository-layout
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from prefect_uv.cache_volume.cache_directory import IN_USE, MIRRORS, rename_into_place, shared_umask
from prefect_uv.cache_volume.lease import take_lease
from prefect_uv.pull.git.git_commands import CloneRequest, Git
from prefect_uv.settings import Settings

SNAPSHOTS_KEPT = 3
LEFTOVER_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Mirror:
    """The snapshots of one request.

    Attributes:
        directory: has a subdirectory for each snapshot, with the commit as its name.
        tmp: where snapshots are made and deleted.
    """

    directory: Path
    tmp: Path

    @classmethod
    def of(cls, settings: Settings, request: CloneRequest) -> Mirror | None:
        """The mirror for a request; None if mirrors are turned off or the volume is not writable."""
        root = settings.cache_dir
        if not settings.git_mirror or settings.cache_readonly or not os.access(root, os.W_OK | os.X_OK):
            return None
        return cls.at(root, request)

    @classmethod
    def at(cls, root: Path, request: CloneRequest) -> Mirror:
        """The mirror for a request below a cache directory."""
        parts = (request.url, request.branch or "", request.commit or "", request.submodules, request.directories)
        name = sha256(repr(parts).encode()).hexdigest()[:32]
        return cls(root / MIRRORS / name, root / "tmp")

    def lease(self) -> int | None:
        """Take a lease, so that garbage collection leaves the mirror alone.

        Returns:
            the descriptor to close; None if the mirror is being removed right now.
        """
        with shared_umask():
            self.directory.mkdir(parents=True, exist_ok=True)
            (self.directory / IN_USE).touch(0o664)
        return take_lease(self.directory)

    def snapshots(self) -> list[Path]:
        """All snapshots, beginning with the one whose commit the server had last."""
        dated = []
        for path in self.directory.glob("[0-9a-f]*"):
            with suppress(FileNotFoundError):
                dated.append((path.stat().st_mtime_ns, path))
        return [path for _, path in sorted(dated, reverse=True)]

    def save_snapshot(self, git: Git) -> None:
        """Save the clone's `.git` under its commit, and delete all but the newest few snapshots."""
        commit = git.query("rev-parse", "--verify", "--quiet", "HEAD")
        if not commit or (self.directory / commit).exists():
            return
        self.tmp.mkdir(parents=True, exist_ok=True)
        copy = self.tmp / f"git-{uuid4().hex}"
        try:
            shutil.copytree(git.request.directory / ".git", copy, symlinks=True)
            _flush_to_disk(copy)
            copy.touch()
            rename_into_place(copy, self.directory / commit)
        finally:
            shutil.rmtree(copy, ignore_errors=True)
        self._delete_old_snapshots()

    def _delete_old_snapshots(self) -> None:
        """Delete old snapshots, and leftovers of processes that were killed; others may do so at the same time."""
        for snapshot in self.snapshots()[SNAPSHOTS_KEPT:]:
            garbage = self.tmp / f"git-{uuid4().hex}"
            with suppress(FileNotFoundError):
                snapshot.rename(garbage)
            shutil.rmtree(garbage, ignore_errors=True)
        for leftover in self.tmp.glob("git-*"):
            with suppress(FileNotFoundError):
                if time.time() - leftover.stat().st_mtime > LEFTOVER_SECONDS:
                    shutil.rmtree(leftover, ignore_errors=True)


def _flush_to_disk(directory: Path) -> None:
    """Write everything to disk, so that a snapshot is whole even if the node loses power after the renaming."""
    for folder, _, files in os.walk(directory):
        for path in [Path(folder), *(Path(folder) / file for file in files)]:
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
