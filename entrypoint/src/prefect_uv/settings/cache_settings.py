"""Settings for the cache volume, the environments baked into the image, and git."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prefect_uv.settings.declaration import setting
from prefect_uv.settings.parsers import boolean, choice, seconds, size, uids, whole_number


@dataclass(frozen=True, kw_only=True)
class CacheSettings:
    """Where environments and clones are kept, and for how long."""

    cache_dir: Path = setting("PREFECT_UV_CACHE_DIR", Path, Path("/cache"), "Where the cache volume is mounted.")
    local_dir: Path | None = setting(
        "PREFECT_UV_LOCAL_DIR",
        Path,
        None,
        "Directory of the node, such as a hostPath or an emptyDir, if the cache volume is far away (NFS, EFS): what"
        " consists of many files is kept here, and the volume holds one archive for each environment.",
    )
    cache_limit: int | None = setting(
        "PREFECT_UV_CACHE_LIMIT",
        size,
        None,
        "Maximum size of the cache directory, such as `20G`; by default four fifths of the space that the volume has"
        " for it.",
    )
    cache_days: int = setting(
        "PREFECT_UV_CACHE_DAYS",
        whole_number,
        30,
        "Days after which an environment, a mirror or an archive of code that is no longer used is deleted.",
    )
    cache_readonly: bool = setting(
        "PREFECT_UV_CACHE_READONLY",
        boolean,
        False,
        "Use what the cache volume holds but write nothing to it; anything missing is built for this run only.",
    )
    cache_trust: tuple[int, ...] = setting(
        "PREFECT_UV_CACHE_TRUST",
        uids,
        (),
        "Ids of users whose files on the cache volume and whose clones are used, in addition to those of the"
        " container's own user, root and the owner of the directory.",
    )
    baked_dir: Path = setting(
        "PREFECT_UV_BAKED_DIR", Path, Path("/opt/baked"), "Where `prefect-uv bake` puts environments in the image."
    )
    baked: str = setting(
        "PREFECT_UV_BAKED",
        choice("build", "refuse"),
        "build",
        "What to do if no environment that was baked into the image, or is mounted there, fits: `build` one on the"
        " cache volume, or `refuse` to run, also if there is none at all.",
    )
    git_timeout: float = setting(
        "PREFECT_UV_GIT_TIMEOUT", seconds, 900.0, "Seconds that each git command of a pull step may take."
    )
    git_mirror: bool = setting(
        "PREFECT_UV_GIT_MIRROR",
        boolean,
        True,
        "Keep clones on the cache volume, so that a pull downloads only what is new.",
    )
    git_login_for_dependencies: bool = setting(
        "PREFECT_UV_GIT_LOGIN_FOR_DEPENDENCIES",
        boolean,
        False,
        "Let uv use the login of the last `git_clone` step that has one, for dependencies on git repositories of the"
        " same host; build backends can read it too.",
    )
    ssh_key: Path | None = setting("PREFECT_UV_SSH_KEY", Path, None, "Path of a private key for git over SSH.")
    ssh_known_hosts: Path | None = setting(
        "PREFECT_UV_SSH_KNOWN_HOSTS", Path, None, "Path of a known_hosts file for git over SSH."
    )
