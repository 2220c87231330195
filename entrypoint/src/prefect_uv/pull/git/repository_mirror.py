"""Snapshots of clones on the cache volume, so that a warm pull transfers only what is new.

<cache>/git/v1/<request>/<commit>/    the `.git` directory of a finished clone, which never changes

A branch costs one round trip, to ask for its commit. A snapshot of that commit is restored from the volume; an older
snapshot is restored, updated by an ordinary fetch, and saved under the new commit. Snapshots are made in `tmp` and
renamed, so kills and other containers never leave half of one; if one cannot be read, the repository is cloned as if
there were no mirror. A pull holds a lease on its mirror, and garbage collection
(`environments/garbage/garbage_collection.py`) removes mirrors that nobody uses.

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
from prefect_uv.errors import PrefectUvError, RevisionNotFoundError
from prefect_uv.pull.git.git_commands import (
    CloneRequest,
    Git,
    check_out,
    clone_or_update,
    clone_repository,
    update_clone,
)
from prefect_uv.settings import Settings

SNAPSHOTS_KEPT = 3
MAX_PACKS = 20
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


def clone_with_mirror(git: Git, mirror: Mirror) -> str:
    """Clone or update as `clone_or_update` does, with the mirror's snapshots where they help.

    Returns:
        `cloned`, `updated` or `restored`, for the log.
    """
    directory = git.request.directory
    if directory.exists() and any(directory.iterdir()):
        return clone_or_update(git)
    try:
        lease = mirror.lease()
    except OSError as error:
        git.log.warning(f"the mirror {mirror.directory} cannot be used: {error}")
        lease = None
    if lease is None:
        return clone_or_update(git)
    try:
        return _clone_holding_lease(git, mirror)
    finally:
        os.close(lease)


def _clone_holding_lease(git: Git, mirror: Mirror) -> str:
    action = _restore_or_update(git, mirror)
    if action is None:
        clone_repository(git)
        action = "cloned"
    if action != "restored":
        _try_to_save(git, mirror)
    return action


def _restore_or_update(git: Git, mirror: Mirror) -> str | None:
    """Restore the snapshot of the requested commit, or restore and update an older one.

    Returns:
        `restored` or `updated`; None if there is no usable snapshot.
    """
    snapshots = mirror.snapshots()
    commit = git.request.commit or (_commit_on_server(git) if snapshots else None)
    if not snapshots or not commit:
        return None
    exact = next((path for path in snapshots if path.name.startswith(commit.lower())), None)
    base = exact or next((path for path in snapshots if len(list(path.glob("objects/pack/*.pack"))) < MAX_PACKS), None)
    if base is None:
        return None
    if not restore_snapshot(git, base, update=exact is None):
        return None
    if exact is None:
        return "updated"
    with suppress(OSError):
        os.utime(exact)
    return "restored"


def restore_snapshot(git: Git, snapshot: Path, *, update: bool = False) -> bool:
    """Put a snapshot into the clone's directory and check it out, after an update from the server if asked for.

    Returns:
        whether it worked; if not, a warning is logged and the directory is removed.
    """
    try:
        shutil.copytree(snapshot, git.request.directory / ".git", symlinks=True)
        if update or git.request.commit:  # a reset notices damaged objects, a fetch on top of them does not
            git.in_clone("cat-file", "-e", f"{snapshot.name}^{{commit}}")
        if update:
            update_clone(git, mode="--hard")
        else:
            check_out(git, snapshot.name)
    except (OSError, shutil.Error, PrefectUvError) as error:
        git.log.warning(f"the mirror's snapshot {snapshot} could not be used: {error}")
        shutil.rmtree(git.request.directory, ignore_errors=True)
        return False
    return True


def _commit_on_server(git: Git) -> str:
    """The commit that the server has for the requested branch, tag or default branch.

    Raises:
        RevisionNotFoundError: the server has no such branch or tag.
    """
    branch = git.request.branch
    # git 2.39: `^{}` is the commit that an annotated tag points to. https://git-scm.com/docs/gitrevisions
    refs = [f"refs/heads/{branch}", f"refs/tags/{branch}^{{}}", f"refs/tags/{branch}"] if branch else ["HEAD"]
    listing = git("ls-remote", "--", git.request.url, *refs)
    commits = {ref: commit for commit, _, ref in (line.partition("\t") for line in listing.splitlines())}
    commit = next((commits[ref] for ref in refs if ref in commits), None)
    if commit is None:
        message = f"There is no {git.request.revision} in {git.request.url}."
        raise RevisionNotFoundError(message, hint="Push it, or correct the deployment's git_clone step.")
    return commit


def _try_to_save(git: Git, mirror: Mirror) -> None:
    try:
        with shared_umask():
            mirror.save_snapshot(git)
    except (OSError, shutil.Error, PrefectUvError) as error:
        git.log.warning(f"the clone could not be saved to the mirror {mirror.directory}: {error}")
