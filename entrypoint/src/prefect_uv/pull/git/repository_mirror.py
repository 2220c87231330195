"""Snapshots of clones on the cache volume, so that a warm pull transfers only what is new.

<cache>/git/v1/<request>/<commit>/    what `git_directory.py` copies of a finished clone; it never changes

A snapshot is used only if trusted users own all of it. It is made in `tmp` and renamed, so kills and other containers
never leave half of one. A pull holds a lease on its mirror, and garbage collection
(`environments/garbage/garbage_collection.py`) removes mirrors that nobody uses.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from prefect_uv.cache_volume.cache_directory import IN_USE, MIRRORS, TRASH_NAME, rename_into_place
from prefect_uv.cache_volume.file_lock import touch_file
from prefect_uv.cache_volume.lease import take_lease
from prefect_uv.cache_volume.shared_umask import shared_umask
from prefect_uv.cache_volume.volume import Volume, users_of_volume
from prefect_uv.processes.signals import call_in_thread
from prefect_uv.pull.git.git_commands import CloneRequest, Git
from prefect_uv.pull.git.git_directory import copy_git_directory
from prefect_uv.settings import Settings

SNAPSHOTS_KEPT = 3
LEFTOVER_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Mirror:
    """The snapshots of one request.

    Attributes:
        volume: the cache volume.
        directory: has a subdirectory for each snapshot, with the commit as its name.
    """

    volume: Volume
    directory: Path

    @classmethod
    def of(cls, settings: Settings, request: CloneRequest) -> Mirror | None:
        """The mirror for a request; None if mirrors are turned off or the volume is not writable."""
        root = settings.cache_dir
        if not settings.git_mirror or settings.cache_readonly or not os.access(root, os.W_OK | os.X_OK):
            return None
        return cls.at(settings, request)

    @classmethod
    def at(cls, settings: Settings, request: CloneRequest) -> Mirror:
        """The mirror for a request, whether it may be written or not."""
        volume = Volume(settings.cache_dir, users_of_volume(settings.cache_dir, settings.cache_trust))
        parts = (request.url, request.branch or "", request.commit or "", request.submodules, request.directories)
        name = sha256(repr(parts).encode()).hexdigest()[:32]
        shared, own = volume.places(volume.root / MIRRORS / name)
        return cls(volume, own if volume.distrust(shared) else shared)

    @property
    def tmp(self) -> Path:
        """Where snapshots are made and deleted."""
        return self.directory / "tmp"

    def lease(self) -> int | None:
        """Take a lease, so that garbage collection leaves the mirror alone.

        Returns:
            the descriptor to close; None if the mirror is being removed right now.
        """
        with shared_umask():
            self.volume.make_directory(self.directory)
            touch_file(self.directory / IN_USE)
        return take_lease(self.directory)

    def snapshots(self) -> list[Path]:
        """All snapshots of trusted users, beginning with the one whose commit the server had last."""
        dated = []
        for path in filter(self.volume.trusts, self.directory.glob("[0-9a-f]*")):
            with suppress(FileNotFoundError):
                dated.append((path.lstat().st_mtime_ns, path))
        return [path for _, path in sorted(dated, reverse=True)]

    def save_snapshot(self, git: Git) -> None:
        """Save the clone's `.git` under its commit, and delete all but the newest few snapshots.

        A clone that borrows objects of another repository is not saved.
        """
        commit = git.query("rev-parse", "--verify", "--quiet", "HEAD")
        repository = git.request.directory / ".git"
        borrows = (repository / "objects" / "info" / "alternates").exists()
        if not commit or borrows or (self.directory / commit).exists():
            return
        if (repository / "lfs" / "objects").is_dir():
            git.query("lfs", "prune", "--recent")  # removes those that HEAD does not have
        self.volume.make_directory(self.tmp)
        copy = self.tmp / f"git-{uuid4().hex}"
        try:
            call_in_thread(copy_git_directory, repository, copy, {os.geteuid()})
            _flush_to_disk(copy)
            rename_into_place(copy, self.directory / commit)
        finally:
            self.volume.delete(copy)
        self._delete_old_snapshots()

    def _delete_old_snapshots(self) -> None:
        """Delete old snapshots, and leftovers of processes that were killed; others may do so at the same time."""
        for snapshot in self.snapshots()[SNAPSHOTS_KEPT:]:
            with suppress(FileNotFoundError):
                self.volume.delete(self.volume.discard(snapshot, self.tmp))
        for leftover in self.volume.entries(self.tmp, TRASH_NAME):
            with suppress(FileNotFoundError):
                if time.time() - leftover.lstat().st_mtime > LEFTOVER_SECONDS:
                    self.volume.delete(leftover)


def _flush_to_disk(directory: Path) -> None:
    """Write everything to disk, so that a snapshot is whole even if the node loses power after the renaming."""
    for folder, _, files in os.walk(directory):
        for path in [Path(folder), *(Path(folder) / file for file in files)]:
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
