"""Pull without a network (PREFECT_UV_OFFLINE): code comes from the mirror on the volume, or the step is refused.

Git itself may not connect (`git_access/git_environment.py`), so it cannot fetch anything unnoticed: no submodule, and
no object that a partial clone left out.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect_uv.cache_volume.lease import take_lease
from prefect_uv.errors import OfflineCodeError, OfflineStepError, PrefectUvError
from prefect_uv.pull.git.git_commands import Git, check_out, refuse_other_origin
from prefect_uv.pull.git.mirrored_clone import restore_snapshot
from prefect_uv.pull.git.repository_mirror import Mirror

LOCAL_ADDRESSES = ("file://", "/")
LOCAL_SCHEMES = {"", "file", "local", "memory"}
OFFLINE_HINT = (
    "Run the deployment once with network access and this cache volume, or fill the volume with `prefect-uv sync`."
)


def clone_offline(git: Git, mirror: Mirror) -> str:
    """Keep the clone that the directory already has, or restore the newest snapshot that fits the request.

    Returns:
        what was done, in words for the log.

    Raises:
        OfflineCodeError: the volume has no snapshot that fits.
    """
    if (git.request.directory / ".git").exists():
        return _keep_clone(git)
    lease = take_lease(mirror.directory)
    try:
        candidates = [path for path in mirror.snapshots() if lease and _has_commit(path, git.request.commit)]
        snapshot = next((path for path in candidates if restore_snapshot(git, mirror, path)), None)
        if snapshot is None:
            raise _not_on_volume(git, f"No usable snapshot was found in {mirror.directory}.")
        seen = datetime.fromtimestamp(snapshot.stat().st_mtime, UTC)
        return f"offline: restored, as it was on {seen:%Y-%m-%d at %H:%M} UTC"
    finally:
        if lease is not None:
            os.close(lease)


def _keep_clone(git: Git) -> str:
    refuse_other_origin(git)
    try:
        if git.request.commit:
            check_out(git, "HEAD", "--keep")
    except PrefectUvError as error:
        raise _not_on_volume(git, error.found) from None
    return "offline: kept"


def _has_commit(snapshot: Path, commit: str | None) -> bool:
    """Whether a snapshot is of this commit, which may be abbreviated; any snapshot will do for a branch (None)."""
    return not commit or snapshot.name.startswith(commit.lower())


def _not_on_volume(git: Git, found: str) -> OfflineCodeError:
    headline = f"The cache volume has no {git.request.revision} of {git.request.url}, and PREFECT_UV_OFFLINE is set."
    return OfflineCodeError(headline, found, OFFLINE_HINT)


def refuse_remote(function: str, inputs: Mapping[str, Any], packages: Sequence[str]) -> None:
    """Refuse a step that reads from the network, which its address or the packages that it needs reveal.

    Raises:
        OfflineStepError: the step needs the network.
    """
    url = str(inputs.get("url", ""))
    scheme = url.partition("://")[0] if "://" in url else ""
    if scheme in LOCAL_SCHEMES and not packages:
        return
    origin = url if scheme not in LOCAL_SCHEMES else f"a service that {', '.join(packages)} connects to"
    raise OfflineStepError(
        f"{function} needs the network, and PREFECT_UV_OFFLINE is set.",
        f"It reads from {origin}.",
        "Pull with git_clone, which uses the clone on the cache volume when offline, or bake the code into the image.",
    )
