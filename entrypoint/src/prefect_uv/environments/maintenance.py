"""Maintenance of the cache volume while a flow runs: keeps leases fresh, keeps bytecode, collects garbage."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from prefect_uv.cache_volume.cache_directory import IMPORT_BUNDLE
from prefect_uv.cache_volume.file_lock import touch_file
from prefect_uv.cache_volume.lease import refresh_lease
from prefect_uv.cache_volume.shared_umask import shared_umask
from prefect_uv.environments.build.bytecode_cache import BytecodeCache
from prefect_uv.environments.build.import_bundle import write_import_bundle
from prefect_uv.environments.garbage.garbage_collection import collect_garbage, prune_uv_cache
from prefect_uv.environments.key.manifest import Manifest
from prefect_uv.environments.published_environments import Environment, PublishedEnvironments
from prefect_uv.log.run_log import RunLog
from prefect_uv.settings import Settings

START_SECONDS = 5.0
REFRESH_SECONDS = 600.0
HOUR = 3600.0
JOIN_SECONDS = 30.0
NICENESS = 19


class Maintenance:
    """A context in which an environment is used, with a thread of the lowest priority that starts late on purpose.

    Garbage is collected after a build, and if no container has collected any for an hour; imports are bundled if the
    environment's bundle is an hour old, or missing. A run that ends before its thread has started does so at its end.

    Attributes:
        pack: archives the environment on a volume that is far away; None if there is no such volume.
        recheck: asks for advisories again if that is due; None if no policy needs them.
    """

    def __init__(
        self,
        published: PublishedEnvironments,
        settings: Settings,
        log: RunLog,
        environment: Environment,
        leases: Sequence[int],
    ) -> None:
        self.pack: Callable[[Environment], None] | None = None
        self.recheck: Callable[[], None] | None = None
        self._cache = published.cache
        self._bytecode = BytecodeCache(published.cache)
        self._settings = settings
        self._log = log
        self._environment = environment
        self._leases = leases
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="maintenance")

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(JOIN_SECONDS)

    def _run(self) -> None:
        # Linux 6.12: the nice value is per thread. https://man7.org/linux/man-pages/man2/setpriority.2.html
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        self._ended.wait(START_SECONDS)
        if self._environment.uv_cache == self._cache.uv_cache:
            self._collect()
        self._recheck()
        while not self._ended.wait(REFRESH_SECONDS):
            for lease in self._leases:
                refresh_lease(lease)
            self._recheck()

    def _recheck(self) -> None:
        try:
            if self.recheck:
                self.recheck()
        except OSError as error:
            self._log.warning(f"the policy's advisories cannot be asked for: {error}")

    def _bundle_imports(self) -> None:
        """Bundle what this run and earlier ones have compiled, if the environment is ours to write to.

        An old bundle is touched first: other runs leave it to this one, and for an hour nobody tries if this one fails.
        """
        bundle = self._environment.path / IMPORT_BUNDLE
        if self._settings.import_bundle and self._environment.run_cache is not None and self._is_old(bundle):
            if bundle.exists():
                touch_file(bundle)
            write_import_bundle(self._environment.path, self._cache)

    def _is_old(self, path: Path) -> bool:
        """Whether a file was written an hour ago or earlier, or never."""
        try:
            return self._cache.now() - path.lstat().st_mtime >= HOUR
        except FileNotFoundError:
            return True

    def _collect_now(self, stamp: Path) -> None:
        touch_file(stamp)
        if manifest := Manifest.read(self._environment.path):
            self._bytecode.keep(self._environment.path, manifest.contents)
        if self.pack:
            self.pack(self._environment)
        collect_garbage(self._cache, self._settings, self._log)
        prune_uv_cache(self._cache, self._settings.environ)

    def _collect(self) -> None:
        stamp = self._cache.locks / "collected"
        try:
            with shared_umask():
                if not self._environment.hit or self._is_old(stamp):
                    self._collect_now(stamp)
                self._bundle_imports()  # after the garbage, because it needs space
        except OSError as error:
            self._log.warning(f"maintenance of {self._cache.root} failed: {error}")
