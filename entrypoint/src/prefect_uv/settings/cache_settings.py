"""The cache volume, what is baked into the image, and git's clones on the volume."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prefect_uv.settings.declaration import setting
from prefect_uv.settings.parsers import boolean, choice, seconds, size, uids, whole_number


@dataclass(frozen=True, kw_only=True)
class CacheSettings:
    """Where environments and clones are kept, and for how long."""

    cache_dir: Path = setting("PREFECT_UV_CACHE_DIR", Path, Path("/cache"), "Where the cache volume is mounted.")
    cache_limit: int | None = setting(
        "PREFECT_UV_CACHE_LIMIT",
        size,
        None,
        "Most bytes that the cache directory may hold, as `20G`; unset: four fifths of what the volume has for it.",
    )
    cache_days: int = setting(
        "PREFECT_UV_CACHE_DAYS",
        whole_number,
        30,
        "Days after which an environment or a mirror that nobody used is deleted.",
    )
    cache_readonly: bool = setting(
        "PREFECT_UV_CACHE_READONLY",
        boolean,
        False,
        "Use what the cache volume holds and write nothing to it; what it does not hold is built for the run only.",
    )
    cache_trust: tuple[int, ...] = setting(
        "PREFECT_UV_CACHE_TRUST",
        uids,
        (),
        "User ids whose environments are used, beside our own, root's and those of the cache directory's owner.",
    )
    baked_dir: Path = setting(
        "PREFECT_UV_BAKED_DIR", Path, Path("/opt/baked"), "Where `prefect-uv bake` puts environments into the image."
    )
    baked: str = setting(
        "PREFECT_UV_BAKED",
        choice("build", "refuse"),
        "build",
        "What to do when the image has baked environments and none of them fits: `build` one on the cache volume, or"
        " `refuse` to run.",
    )
    git_timeout: float = setting(
        "PREFECT_UV_GIT_TIMEOUT", seconds, 900.0, "Seconds that one git command of a pull step may take."
    )
    git_mirror: bool = setting(
        "PREFECT_UV_GIT_MIRROR",
        boolean,
        True,
        "Keep clones on the cache volume, so that a pull moves only what is new.",
    )
    ssh_key: Path | None = setting("PREFECT_UV_SSH_KEY", Path, None, "Path of a private key for git over SSH.")
    ssh_known_hosts: Path | None = setting(
        "PREFECT_UV_SSH_KNOWN_HOSTS", Path, None, "Path of a known_hosts file for git over SSH."
    )
