"""The published environments of one cache directory: taken into use if complete and trusted, added once built."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.cache_volume.cache_directory import RUN_CACHE, CacheDirectory, is_executable
from prefect_uv.cache_volume.lease import take_lease
from prefect_uv.environments.key.manifest import Manifest
from prefect_uv.errors import EnvironmentDamagedError
from prefect_uv.log.run_log import RunLog
from prefect_uv.package_names import PREFECT


@dataclass(frozen=True)
class Environment:
    """A complete environment, in use as long as this process, or a child that inherits `lease`, lives.

    uv 0.13.8: holds the lock of its cache as long as `uv run` lives, hence `run_cache`.
    https://github.com/astral-sh/uv/issues/19317

    Attributes:
        path: its directory; `bin/python` is its interpreter.
        key: the hash of what it is made of.
        hit: it existed before this start.
        prefect: its version of Prefect.
        python_version: the version of its interpreter.
        uv_cache: the uv cache that it was built from, for uv commands in the flow; None if it is not writable.
        run_cache: a separate cache for `uv run`; None if it is not writable.
        lease: a file descriptor with a shared lock.
        why: why it was found or built, in a sentence without a full stop.
    """

    path: Path
    key: str
    hit: bool
    prefect: str
    python_version: str
    uv_cache: Path | None
    run_cache: Path | None
    lease: int
    why: str = ""

    @property
    def note(self) -> str:
        """`hit` or `miss` with the short key, for the summary line."""
        return f"{'hit' if self.hit else 'miss'} {self.key[:12]}"


@dataclass(frozen=True)
class PublishedEnvironments:
    """A cache directory's environments."""

    cache: CacheDirectory

    def open(self, key: str, *, hit: bool) -> Environment | None:
        """Take an environment into use; None if there is none that is complete and trusted."""
        opened = (self._open(path, key, hit=hit) for path in self._paths(key) if self._is_usable(path))
        return next(filter(None, opened), None)

    def has(self, key: str) -> bool:
        """Whether an environment has this name, trusted or not."""
        return (self.cache.environments / key).exists()

    def publish(self, environment: Path, key: str, log: RunLog) -> None:
        """Rename a complete environment to its key, unless a complete one is there already; replace a damaged one."""
        for target in self._paths(key):
            if reason := self.cache.distrust(target):
                log.warning(f"{target} {reason}: not used")
                continue
            if target.exists() and Manifest.read(target) is None:
                self.cache.discard(target)
            try:
                environment.rename(target)
            except OSError:
                if Manifest.read(target) is None:
                    raise
            return

    def _open(self, path: Path, key: str, *, hit: bool) -> Environment | None:
        manifest = Manifest.read(path)
        lease = take_lease(path, touch=not self.cache.read_only) if manifest else None
        if manifest is None or lease is None:
            return None
        packages = manifest.contents.packages
        prefect = next(packages[name].version for name in PREFECT if name in packages)
        writable = not self.cache.read_only and os.access(self.cache.root, os.W_OK)
        own = writable and (path / RUN_CACHE).stat().st_uid == os.geteuid()
        uv_cache, run_cache = self.cache.uv_cache if writable else None, path / RUN_CACHE if own else None
        return Environment(path, key, hit, prefect, manifest.contents.python_version, uv_cache, run_cache, lease)

    def _paths(self, key: str) -> tuple[Path, Path]:
        return self.cache.places(self.cache.environments / key)

    def _is_usable(self, path: Path) -> bool:
        return path.is_dir() and self.cache.trusts(path) and is_executable(path)


def disappeared_error(key: str) -> EnvironmentDamagedError:
    """The error for an environment that something deletes while it is being used or published."""
    message = f"Environment {key[:12]} disappeared."
    return EnvironmentDamagedError(message, hint="Find out what deletes files below the cache directory, and stop it.")
