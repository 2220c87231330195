"""Snapshots of clones on the cache volume, so that a warm pull moves only what is new.

<cache>/git/v1/<request>/<commit>/    the `.git` directory of a finished clone, never changed once it has its name

A branch costs one round trip (what is its commit?); a commit that is there is restored from the volume, and an older
one is restored, updated by an ordinary fetch and kept under its new name. Everything is made aside and renamed, so
that kills and other containers leave nothing half; what cannot be read is cloned as if there were no mirror. A pull
holds a lease on its mirror; garbage collection (`environments/garbage/garbage_collection.py`) removes unused ones.
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

KEPT = 3
PACKS = 20
LEFTOVER_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Mirror:
    """The snapshots of one request."""

    place: Path
    tmp: Path

    @classmethod
    def of(cls, settings: Settings, request: CloneRequest) -> Mirror | None:
        """The mirror for a request; nothing when it is off or the volume cannot be written to."""
        root = settings.cache_dir
        if not settings.git_mirror or settings.cache_readonly or not os.access(root, os.W_OK | os.X_OK):
            return None
        return cls.at(root, request)

    @classmethod
    def at(cls, root: Path, request: CloneRequest) -> Mirror:
        """The mirror for a request on a volume."""
        parts = (request.url, request.branch or "", request.commit or "", request.submodules, request.directories)
        name = sha256(repr(parts).encode()).hexdigest()[:32]
        return cls(root / MIRRORS / name, root / "tmp")

    def hold(self) -> int | None:
        """Take it into use, so that nobody removes it: a lease to be closed; nothing when it goes just now."""
        with shared_umask():
            self.place.mkdir(parents=True, exist_ok=True)
            (self.place / IN_USE).touch(0o664)
        return take_lease(self.place)

    def snapshots(self) -> list[Path]:
        """All of them, the one that the server had last first."""
        found = []
        for path in self.place.glob("[0-9a-f]*"):
            with suppress(FileNotFoundError):
                found.append((path.stat().st_mtime_ns, path))
        return [path for _, path in sorted(found, reverse=True)]

    def keep(self, git: Git) -> None:
        """Keep the clone's `.git` under its commit, and only the newest few beside it."""
        commit = git.ask("rev-parse", "--verify", "--quiet", "HEAD")
        if not commit or (self.place / commit).exists():
            return
        self.tmp.mkdir(parents=True, exist_ok=True)
        aside = self.tmp / f"git-{uuid4().hex}"
        try:
            shutil.copytree(git.request.directory / ".git", aside, symlinks=True)
            _flushed(aside)
            aside.touch()
            rename_into_place(aside, self.place / commit)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        self._forget_old()

    def _forget_old(self) -> None:
        """Others may do the same at the same time."""
        for snapshot in self.snapshots()[KEPT:]:
            garbage = self.tmp / f"git-{uuid4().hex}"
            with suppress(FileNotFoundError):
                snapshot.rename(garbage)
            shutil.rmtree(garbage, ignore_errors=True)
        for garbage in self.tmp.glob("git-*"):
            with suppress(FileNotFoundError):
                if time.time() - garbage.stat().st_mtime > LEFTOVER_SECONDS:
                    shutil.rmtree(garbage, ignore_errors=True)


def _flushed(directory: Path) -> None:
    """On disk before it gets its name, also when the node loses power."""
    for folder, _, files in os.walk(directory):
        for path in [Path(folder), *(Path(folder) / file for file in files)]:
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)


def clone_with_mirror(git: Git, mirror: Mirror) -> str:
    """As `bring`, with the snapshots of the mirror where they help.

    Returns:
        how, in a word for the log.
    """
    directory = git.request.directory
    if directory.exists() and any(directory.iterdir()):
        return clone_or_update(git)
    try:
        held = mirror.hold()
    except OSError as error:
        git.log.warning(f"the mirror {mirror.place} cannot be used: {error}")
        held = None
    if held is None:
        return clone_or_update(git)
    try:
        return _clone_holding_lease(git, mirror)
    finally:
        os.close(held)


def _clone_holding_lease(git: Git, mirror: Mirror) -> str:
    how = _restored(git, mirror)
    if how is None:
        clone_repository(git)
        how = "cloned"
    if how != "restored":
        _kept(git, mirror)
    return how


def _restored(git: Git, mirror: Mirror) -> str | None:
    """Restore the wanted snapshot, or an older one that is then updated; nothing when there is none to use."""
    snapshots = mirror.snapshots()
    wanted = git.request.commit or (_advertised(git) if snapshots else None)
    if not snapshots or not wanted:
        return None
    exact = next((path for path in snapshots if path.name.startswith(wanted.lower())), None)
    base = exact or next((path for path in snapshots if len(list(path.glob("objects/pack/*.pack"))) < PACKS), None)
    if base is None:
        return None
    if not restore_snapshot(git, base, newer=exact is None):
        return None
    if exact is None:
        return "updated"
    with suppress(OSError):
        os.utime(exact)
    return "restored"


def restore_snapshot(git: Git, snapshot: Path, *, newer: bool = False) -> bool:
    """Put a snapshot into the directory, updated from the server where a newer commit is wanted; whether it worked."""
    try:
        shutil.copytree(snapshot, git.request.directory / ".git", symlinks=True)
        if newer or git.request.commit:  # a fetch would not notice what is damaged below it; a reset does
            git.inside("cat-file", "-e", f"{snapshot.name}^{{commit}}")
        if newer:
            update_clone(git, mode="--hard")
        else:
            check_out(git, snapshot.name)
    except (OSError, shutil.Error, PrefectUvError) as error:
        git.log.warning(f"the mirror's snapshot {snapshot} could not be used: {error}")
        shutil.rmtree(git.request.directory, ignore_errors=True)
        return False
    return True


def _advertised(git: Git) -> str:
    """The commit that the server has for the branch, tag or default branch.

    Raises:
        RevisionNotFoundError: it has none.
    """
    branch = git.request.branch
    names = [f"refs/heads/{branch}", f"refs/tags/{branch}^{{}}", f"refs/tags/{branch}"] if branch else ["HEAD"]
    answer = git("ls-remote", "--", git.request.url, *names)
    found = {name: commit for commit, _, name in (line.partition("\t") for line in answer.splitlines())}
    commit = next((found[name] for name in names if name in found), None)
    if commit is None:
        message = f"There is no {git.request.revision} in {git.request.url}."
        raise RevisionNotFoundError(message, hint="Push it, or correct the deployment's git_clone step.")
    return commit


def _kept(git: Git, mirror: Mirror) -> None:
    try:
        with shared_umask():
            mirror.keep(git)
    except (OSError, shutil.Error, PrefectUvError) as error:
        git.log.warning(f"the clone could not be kept in the mirror {mirror.place}: {error}")
