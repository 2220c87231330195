"""Building aside, verifying, and the rename that publishes: a name never stands for a partial environment."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from prefect_uv.cache_volume.cache_directory import IN_USE, CacheDirectory
from prefect_uv.cache_volume.work_lock import WorkLock
from prefect_uv.environments.build.bytecode_cache import BytecodeCache
from prefect_uv.environments.build.hard_links import clone_environment
from prefect_uv.environments.build.verification import check_built, list_findings
from prefect_uv.environments.key.environment_contents import Contents
from prefect_uv.environments.key.manifest import RUN_CACHE, DescribedEnvironment, Manifest
from prefect_uv.environments.plan.source import Plan
from prefect_uv.environments.uv.uv_command import Uv, stable_path
from prefect_uv.errors import EnvironmentDamagedError
from prefect_uv.log.run_log import RunLog
from prefect_uv.processes.subprocesses import run_command

LOCK_FILE = "claim"
ENVIRONMENT = "env"
DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
LINK_MODES = {"clone", "copy", "hardlink"}


@contextmanager
def build_directory(cache: CacheDirectory, key: str) -> Iterator[Path]:
    """A directory to build in, under a claim that says that its builder lives; it goes with all that is left."""
    place = cache.builds / f"{key[:12]}-{uuid4().hex}"
    place.mkdir()
    claim = WorkLock(place / LOCK_FILE)
    try:
        claim.take()
        claim.start()
        yield place
    finally:
        claim.close()
        shutil.rmtree(place, ignore_errors=True)


@dataclass(frozen=True)
class EnvironmentBuild:
    """One build of one environment, in one area."""

    cache: CacheDirectory
    uv: Uv
    plan: Plan
    purpose: str
    log: RunLog

    @property
    def contents(self) -> Contents:
        """What is built."""
        return self.plan.contents

    @contextmanager
    def performed(self, near: DescribedEnvironment | None) -> Iterator[Path]:
        """A whole environment beside the others, to be moved to its name; whatever is left of it goes.

        Raises:
            SyncError: uv could not build it, or what it built is not whole.
        """
        with build_directory(self.cache, self.contents.key) as place:
            self._fill(place / ENVIRONMENT, near)
            BytecodeCache(self.cache.bytecode, self.uv.trusted).restore(place / ENVIRONMENT, self.contents)
            self._finish(place / ENVIRONMENT)
            yield place / ENVIRONMENT

    def _fill(self, environment: Path, near: DescribedEnvironment | None) -> None:
        """From a near one if that succeeds, else anew; damaged packages in uv's cache are fetched again, once."""
        mode = self._link_mode(environment.parent)
        if near is not None and self._fill_from(*near, environment, mode):
            return
        found = self._fill_anew(environment, mode)
        if found:
            self.log.warning(f"damaged in uv's cache, fetching again: {', '.join(found)}")
            self.uv.clean(found)
            shutil.rmtree(environment)
            found = self._fill_anew(environment, mode)
        if found:
            headline = "uv reported success, but the environment is damaged."
            raise EnvironmentDamagedError(
                headline, list_findings(found), "Run `prefect-uv cache prune --all` on the volume."
            )

    def _fill_from(self, path: Path, manifest: Manifest, environment: Path, mode: str) -> bool:
        try:
            clone_environment(path, environment, without=self.contents.changed(manifest.contents))
            self._install(environment, mode)
            if not check_built(environment, self.contents, self.uv.environ):
                return True
        except OSError as error:
            if error.errno in DISK_FULL:
                raise
        self.log.info(f"could not build on {manifest.key[:12]}: building from scratch")
        shutil.rmtree(environment)
        return False

    def _fill_anew(self, environment: Path, mode: str) -> dict[str, list[str]]:
        """From nothing, or from the environment that this one is an addition to."""
        if self.plan.base is not None:
            clone_environment(self.plan.base[0], environment)
        else:
            self.uv.venv(self.contents.python, environment)
        self._install(environment, mode)
        return check_built(environment, self.contents, self.uv.environ)

    def _install(self, environment: Path, mode: str) -> None:
        with stable_path(environment.parent) as place:
            self.plan.install(place / environment.name, mode)

    def _finish(self, environment: Path) -> None:
        """Manifest and in-use file, and everything on the disk, before the name exists."""
        (environment / IN_USE).touch(0o664)
        (environment / RUN_CACHE).mkdir()
        Manifest(self.contents.key, self.purpose, time.time(), self.contents).write(environment)
        run_command(["sync", "-f", environment], env=self.uv.environ)

    def _link_mode(self, place: Path) -> str:
        """Hard links where the volume can: the fastest by far, and one copy of each file (uv 0.13.8)."""
        wanted = self.uv.settings.environ.get("UV_LINK_MODE")
        if wanted in LINK_MODES:
            return wanted
        if wanted:
            self.log.warning(
                f"UV_LINK_MODE={wanted} is ignored: only clone, copy and hardlink give environments that outlive"
                " uv's cache"
            )
        probe = place / "probe"
        try:
            os.link(self.uv.cache.uv_cache / "CACHEDIR.TAG", probe)
        except OSError as error:
            if error.errno in DISK_FULL:
                raise
            self._warn(error)
            return "copy"
        probe.unlink()
        return "hardlink"

    def _warn(self, error: OSError) -> None:
        where = f"uv's cache {self.uv.cache.uv_cache} and the environments in {self.cache.environments}"
        reason = (
            f"{where} are on different mounts: mount one volume at {self.cache.root}"
            if error.errno == errno.EXDEV
            else f"the file system of {self.cache.root} has no hard links ({error.strerror})"
        )
        self.log.warning(
            f"{reason}; packages are copied, which takes seconds instead of 0.1 s and twice the disk space"
        )
