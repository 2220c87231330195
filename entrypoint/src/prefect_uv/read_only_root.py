"""A container whose root is read-only, or whose user has no home: where temporary files and persisted results go.

Everything that we start gets variables for them: pull steps, uv, the engine and the flow.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from prefect_uv.log.run_log import RunLog
from prefect_uv.settings import Settings

# CPython 3.13: https://docs.python.org/3/library/tempfile.html#tempfile.gettempdir
TEMPORARY_VARIABLES = ("TMPDIR", "TEMP", "TMP")
TEMPORARY_DIRECTORIES = ("/tmp", "/var/tmp")  # noqa: S108 (they are only looked at)
# Prefect 3.8.8: https://docs.prefect.io/v3/api-ref/settings-ref (results)
STORAGE_VARIABLES = ("PREFECT_RESULTS_LOCAL_STORAGE_PATH", "PREFECT_LOCAL_STORAGE_PATH")
BLOCK_VARIABLES = ("PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK", "PREFECT_DEFAULT_RESULT_STORAGE_BLOCK")


def with_writable_directories(settings: Settings, log: RunLog, cleanup: ExitStack) -> Settings:
    """The settings with variables for directories that are missing; what is created is removed by `cleanup`."""
    environ = settings.flow_environ
    added = {} if _has_temporary_directory(environ) else _temporary_directory(settings, log, cleanup)
    added |= _homes(environ, cleanup)
    _announce_lost_results({**environ, **added}, log)
    if not added:
        return settings
    given = {**settings.given, **added}
    return replace(settings, given=given, environ={**settings.environ, **added}, flow_environ={**environ, **added})


def _has_temporary_directory(environ: Mapping[str, str]) -> bool:
    places = (*(environ.get(name, "") for name in TEMPORARY_VARIABLES), *TEMPORARY_DIRECTORIES)
    return any(os.path.isdir(place) and os.access(place, os.W_OK) for place in places)  # noqa: PTH112 (may be empty)


def _temporary_directory(settings: Settings, log: RunLog, cleanup: ExitStack) -> dict[str, str]:
    """The variable for a directory on the cache volume; none if that is not writable either."""
    import tempfile  # noqa: PLC0415 (rarely needed)

    where = " and ".join(TEMPORARY_DIRECTORIES)
    directory = None if settings.cache_readonly else _directory_on_volume(settings, cleanup)
    if directory is None:
        log.warning(f"{where} and the cache volume are not writable: mount something at /tmp for temporary files")
        return {}
    log.info(f"{where} are not writable: temporary files are in {directory}")
    tempfile.tempdir = directory
    cleanup.callback(setattr, tempfile, "tempdir", None)
    return {"TMPDIR": directory}


def _directory_on_volume(settings: Settings, cleanup: ExitStack) -> str | None:
    """A new directory for us alone, which becomes garbage if we cannot remove it; None if it cannot be created."""
    from prefect_uv.cache_volume.cache_directory import CacheDirectory  # noqa: PLC0415 (rarely needed)
    from prefect_uv.cache_volume.shared_umask import shared_umask  # noqa: PLC0415
    from prefect_uv.cache_volume.volume import users_of_volume  # noqa: PLC0415
    from prefect_uv.environments.build.builder import build_directory  # noqa: PLC0415

    root = settings.cache_dir
    cache = CacheDirectory(root, users_of_volume(root, settings.cache_trust), root)
    try:
        with shared_umask():
            cache.prepare()
            directory = cleanup.enter_context(build_directory(cache, "temporary")) / "tmp"
        directory.mkdir(mode=0o700)
    except OSError:
        return None
    return str(directory)


def _homes(environ: Mapping[str, str], cleanup: ExitStack) -> dict[str, str]:
    """A temporary home if there is none, and one for Prefect if the user's home is not writable and has none."""
    home, own_home = environ.get("HOME"), prefect_home(environ)
    missing = [] if home else ["HOME"]
    if not environ.get("PREFECT_HOME") and not (home and (own_home.exists() or _can_hold_files(own_home))):
        missing.append("PREFECT_HOME")
    directory = _private_directory(cleanup) if missing else ""
    return dict.fromkeys(missing, directory) if directory else {}


def _announce_lost_results(environ: Mapping[str, str], log: RunLog) -> None:
    """Warn if Prefect's local storage is not writable: Prefect only logs that for every result."""
    chosen = next(filter(None, map(environ.get, STORAGE_VARIABLES)), "")
    storage = Path(chosen) if chosen else prefect_home(environ) / "storage"
    if not (_can_hold_files(storage) or any(map(environ.get, BLOCK_VARIABLES))):
        log.warning(
            f"{storage} is not writable: results that the flow persists there are lost; mount a volume, or set"
            " PREFECT_LOCAL_STORAGE_PATH"
        )


def prefect_home(environ: Mapping[str, str]) -> Path:
    """Where Prefect keeps its profiles and, by default, results."""
    return Path(environ.get("PREFECT_HOME") or Path(environ.get("HOME") or "/", ".prefect"))


def _can_hold_files(directory: Path) -> bool:
    """Whether it is writable, or can be created."""
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    return existing.is_dir() and os.access(existing, os.W_OK)


def _private_directory(cleanup: ExitStack) -> str:
    """A temporary directory; empty if there can be none."""
    from tempfile import TemporaryDirectory  # noqa: PLC0415 (rarely needed)

    try:
        return cleanup.enter_context(TemporaryDirectory(prefix="prefect-uv-home-", ignore_cleanup_errors=True))
    except OSError:
        return ""
