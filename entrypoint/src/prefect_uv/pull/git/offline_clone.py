"""Pulling without a network (PREFECT_UV_OFFLINE): code comes from the mirror on the volume, or the step is refused.

Git itself is forbidden to connect (`environment.NO_NETWORK`), so that nothing is fetched behind our back: no
submodule, no blob that a partial clone left out.
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
from prefect_uv.pull.git.repository_mirror import Mirror, restore_snapshot

LOCAL_ADDRESSES = ("file://", "/")
LOCAL_SCHEMES = {"", "file", "local", "memory"}
OFFLINE_HINT = "Run the deployment once with a network and this cache volume, or `prefect-uv sync` for it."


def clone_offline(git: Git, mirror: Mirror) -> str:
    """The newest clone that the volume has for the request, or what is in the directory already.

    Returns:
        how, in words for the log.

    Raises:
        OfflineCodeError: there is none.
    """
    directory = git.request.directory
    if (directory / ".git").exists():
        return _keep_clone(git)
    held = take_lease(mirror.place)
    try:
        snapshot = next(
            (path for path in mirror.snapshots() if held and _fits(git, path) and restore_snapshot(git, path)), None
        )
        if snapshot is None:
            raise _missing(git, f"It was looked for in {mirror.place}.")
        seen = datetime.fromtimestamp(snapshot.stat().st_mtime, UTC)
        return f"offline: restored, as it was on {seen:%Y-%m-%d at %H:%M} UTC,"
    finally:
        if held is not None:
            os.close(held)


def _keep_clone(git: Git) -> str:
    refuse_other_origin(git)
    try:
        if git.request.commit:
            check_out(git, "HEAD", "--keep")
    except PrefectUvError as error:
        raise _missing(git, error.found) from None
    return "offline: kept"


def _fits(git: Git, snapshot: Path) -> bool:
    return not git.request.commit or snapshot.name.startswith(git.request.commit.lower())


def _missing(git: Git, found: str) -> OfflineCodeError:
    headline = f"The cache volume has no {git.request.revision} of {git.request.url}, and PREFECT_UV_OFFLINE is set."
    return OfflineCodeError(headline, found, OFFLINE_HINT)


def refuse_remote(function: str, inputs: Mapping[str, Any], packages: Sequence[str]) -> None:
    """Steps that read from elsewhere cannot be performed offline.

    Raises:
        OfflineStepError: by its address, or by the package that connects it.
    """
    url = str(inputs.get("url", ""))
    scheme = url.partition("://")[0] if "://" in url else ""
    if scheme in LOCAL_SCHEMES and not packages:
        return
    what = url if scheme not in LOCAL_SCHEMES else f"something that {', '.join(packages)} connects to"
    raise OfflineStepError(
        f"{function} needs the network, and PREFECT_UV_OFFLINE is set.",
        f"It reads from {what}.",
        "Pull with git_clone, which offline takes the clone on the cache volume, or bake the code into the image.",
    )
