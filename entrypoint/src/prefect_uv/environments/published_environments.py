"""The environments of one area: taken into use when they are whole and trusted, published when they are built."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.cache_volume.cache_directory import CacheDirectory, is_executable
from prefect_uv.cache_volume.lease import take_lease
from prefect_uv.environments.key.manifest import RUN_CACHE, Manifest
from prefect_uv.log.run_log import RunLog
from prefect_uv.package_names import PREFECT


@dataclass(frozen=True)
class Environment:
    """A whole environment, held in use as long as this process or a child that inherits `lease` lives.

    Attributes:
        path: its directory; `bin/python` is its interpreter.
        key: what it is made of.
        hit: it was there already.
        prefect: the version of Prefect in it.
        python_version: the version of its interpreter.
        uv_cache: uv's cache beside it, for what the flow asks of uv; nothing when that cannot be written.
        run_cache: a cache of its own for `uv run`, which locks one as long as it lives; nothing when we may not write.
        lease: a file descriptor with a shared lock.
    """

    path: Path
    key: str
    hit: bool
    prefect: str
    python_version: str
    uv_cache: Path | None
    run_cache: Path | None
    lease: int

    @property
    def note(self) -> str:
        """`hit` or `miss` with the short key, for the summary line."""
        return f"{'hit' if self.hit else 'miss'} {self.key[:12]}"


@dataclass(frozen=True)
class PublishedEnvironments:
    """An area, and the user ids whose work there is used."""

    cache: CacheDirectory
    trusted: Container[int]

    def open(self, key: str, *, hit: bool) -> Environment | None:
        """Take an environment into use; nothing when there is none that we trust."""
        found = (self._open(path, key, hit=hit) for path in self._paths(key) if self._is_usable(path))
        return next(filter(None, found), None)

    def has(self, key: str) -> bool:
        """Whether the name is taken."""
        return (self.cache.environments / key).exists()

    def publish(self, environment: Path, key: str, log: RunLog) -> None:
        """Give a whole environment its name, unless somebody was first; what is damaged there does not count."""
        for target in self._paths(key):
            if target.exists() and not self.trusts(target):
                uid = target.stat().st_uid
                log.warning(f"{target} belongs to uid {uid}, which is not in PREFECT_UV_CACHE_TRUST: not used")
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
        descriptor = take_lease(path, touch=not self.cache.read_only) if manifest else None
        if manifest is None or descriptor is None:
            return None
        packages = manifest.contents.packages
        version = next(packages[name].version for name in PREFECT if name in packages)
        writable = not self.cache.read_only and os.access(self.cache.root, os.W_OK)
        own = writable and (path / RUN_CACHE).stat().st_uid == os.geteuid()
        uv_cache, run_cache = self.cache.uv_cache if writable else None, path / RUN_CACHE if own else None
        return Environment(path, key, hit, version, manifest.contents.python_version, uv_cache, run_cache, descriptor)

    def _paths(self, key: str) -> Iterator[Path]:
        """Where it is; where somebody whom we do not trust has taken the name, ours has our uid in it."""
        yield self.cache.environments / key
        yield self.cache.environments / f"{key}.{os.geteuid()}"

    def _is_usable(self, path: Path) -> bool:
        return path.is_dir() and self.trusts(path) and is_executable(path)

    def trusts(self, path: Path) -> bool:
        """Whether somebody whom we trust has written it."""
        return path.stat().st_uid in self.trusted
