"""Clone with the mirror: restore a snapshot, update an older one, or clone and save a new one.

A branch costs one round trip, to ask for its commit. A snapshot of that commit is restored from the volume; an older
snapshot is restored, updated by an ordinary fetch, and saved under the new commit. If a snapshot cannot be read, the
repository is cloned as if there were no mirror.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from prefect_uv.cache_volume.shared_umask import shared_umask
from prefect_uv.errors import PrefectUvError, RevisionNotFoundError
from prefect_uv.processes.signals import call_in_thread
from prefect_uv.pull.git.git_commands import Git, check_out, clone_or_update, clone_repository, update_clone
from prefect_uv.pull.git.git_directory import copy_git_directory
from prefect_uv.pull.git.repository_mirror import Mirror

MAX_PACKS = 20


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
    if not restore_snapshot(git, mirror, base, update=exact is None):
        return None
    if exact is None:
        return "updated"
    with suppress(OSError):
        os.utime(exact, follow_symlinks=False)
    return "restored"


def restore_snapshot(git: Git, mirror: Mirror, snapshot: Path, *, update: bool = False) -> bool:
    """Put a snapshot into the clone's directory and check it out, after an update from the server if asked for.

    Returns:
        whether it worked; if not, a warning is logged and the directory is removed.
    """
    try:
        call_in_thread(copy_git_directory, snapshot, git.request.directory / ".git", mirror.volume.trusted)
        if update or git.request.commit:  # a reset notices damaged objects, a fetch on top of them does not
            git.in_clone("cat-file", "-e", f"{snapshot.name}^{{commit}}")
        if update:
            update_clone(git, mode="--hard")
        else:
            check_out(git, snapshot.name)
    except (OSError, PrefectUvError) as error:
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
    except (OSError, PrefectUvError) as error:
        git.log.warning(f"the clone could not be saved to the mirror {mirror.directory}: {error}")
