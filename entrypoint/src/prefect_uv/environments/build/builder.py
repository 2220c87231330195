"""The builder: fills a private directory, verifies it, and leaves a complete environment to be published.

A key therefore never names a partial environment.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from prefect_uv.cache_volume.cache_directory import IN_USE, RUN_CACHE, CacheDirectory
from prefect_uv.cache_volume.full_disk import is_disk_full
from prefect_uv.cache_volume.work_lock import WorkLock
from prefect_uv.environments.build.bytecode_cache import BytecodeCache
from prefect_uv.environments.build.hard_links import clone_environment
from prefect_uv.environments.build.stable_path import stable_path
from prefect_uv.environments.build.verification import check_built, list_findings
from prefect_uv.environments.import_path import add_hook
from prefect_uv.environments.key.environment_contents import Contents
from prefect_uv.environments.key.manifest import DescribedEnvironment, Manifest
from prefect_uv.environments.plan.source import Plan
from prefect_uv.environments.uv.uv_command import Uv, remove_uv_lock
from prefect_uv.errors import EnvironmentDamagedError
from prefect_uv.log.run_log import RunLog
from prefect_uv.processes.subprocesses import run_command

if TYPE_CHECKING:
    from prefect_uv.environments.plan.origins import Origins

BUILD_LOCK = "claim"  # older releases on the same volume look for this name
ENVIRONMENT = "env"
LINK_MODES = {"clone", "copy", "hardlink"}


@contextmanager
def build_directory(cache: CacheDirectory, key: str) -> Iterator[Path]:
    """A new directory with a work lock that shows that its builder is alive; removed in the end with its contents.

    A program that replaces us (`Launch.replace`) keeps the lock.
    """
    directory = cache.builds / f"{key[:12]}-{uuid4().hex}"
    directory.mkdir()
    lock = WorkLock(directory / BUILD_LOCK)
    try:
        lock.take()
        os.set_inheritable(lock.descriptor, True)  # noqa: FBT003 (the standard library's signature)
        lock.start_heartbeat()
        yield directory
    finally:
        lock.close()
        shutil.rmtree(directory, ignore_errors=True)


@dataclass(frozen=True)
class EnvironmentBuild:
    """One build of one environment.

    Attributes:
        cache: where it is built.
        uv: the uv that builds it.
        plan: what to install.
        purpose: what the environment is for, by name, for its manifest.
        log: gets warnings and detours.
    """

    cache: CacheDirectory
    uv: Uv
    plan: Plan
    purpose: str
    log: RunLog

    @property
    def contents(self) -> Contents:
        """What the environment is made of."""
        return self.plan.contents

    @contextmanager
    def complete_environment(self, similar: DescribedEnvironment | None) -> Iterator[Path]:
        """A complete environment in a build directory, to be renamed; the directory is removed in the end.

        Args:
            similar: an environment to start from, to save time.

        Raises:
            SyncError: uv could not build it, or the result is damaged.
        """
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 (no warm start builds)

        with build_directory(self.cache, self.contents.key) as directory:
            environment = directory / ENVIRONMENT
            with ThreadPoolExecutor(1, "origins") as meanwhile:  # uv installs, and we read a lock of a megabyte
                origins = meanwhile.submit(self.plan.origins)
                self._fill(environment, similar)
            BytecodeCache(self.cache).restore(environment, self.contents)
            self._finish(environment, origins.result())
            yield environment

    def _fill(self, environment: Path, similar: DescribedEnvironment | None) -> None:
        """Build on a similar environment if that works, else from scratch; damaged packages are fetched again, once.

        uv 0.13.8: does not verify its cache (covered by test_damaged_package_in_uvs_cache_is_fetched_again).
        https://docs.astral.sh/uv/concepts/cache/#cache-safety
        """
        link_mode = self._link_mode(environment.parent)
        if similar is not None and self._build_on(*similar, environment, link_mode):
            return
        findings = self._build_from_scratch(environment, link_mode)
        if findings:
            self.log.warning(f"damaged in uv's cache, fetching again: {', '.join(findings)}")
            self.uv.clean_cache(findings)
            shutil.rmtree(environment)
            findings = self._build_from_scratch(environment, link_mode)
        if findings:
            headline = "uv reported success, but the environment is damaged."
            raise EnvironmentDamagedError(
                headline, list_findings(findings), "Run `prefect-uv cache prune --all` on the volume."
            )

    def _build_on(self, base: Path, manifest: Manifest, environment: Path, link_mode: str) -> bool:
        try:
            clone_environment(base, environment, without=self.contents.changed_packages(manifest.contents))
            self._install(environment, link_mode)
            if not check_built(environment, self.contents, self.uv.environ):
                return True
        except OSError as error:
            if is_disk_full(error):
                raise
        self.log.info(f"could not build on {manifest.key[:12]}: building from scratch")
        shutil.rmtree(environment)
        return False

    def _build_from_scratch(self, environment: Path, link_mode: str) -> dict[str, list[str]]:
        """Build from nothing, or from the environment that this one extends; returns what is damaged."""
        if self.plan.base is not None:
            clone_environment(self.plan.base[0], environment)
        else:
            self.uv.create_venv(self.contents.python, environment)
        self._install(environment, link_mode)
        return check_built(environment, self.contents, self.uv.environ)

    def _install(self, environment: Path, link_mode: str) -> None:
        with stable_path(environment.parent) as directory:
            self.plan.install(directory / environment.name, link_mode)

    def _finish(self, environment: Path, origins: Origins) -> None:
        """Add the hook, facts, the manifest and the lease file, and flush all to the disk before the key names it."""
        from prefect_uv.environments.policy import package_facts  # noqa: PLC0415 (no warm start builds)

        remove_uv_lock(environment)
        add_hook(environment)
        known = package_facts.read_facts(self.plan.base[0]) if self.plan.base else None
        facts = package_facts.installed_facts(environment, origins, known or {})
        package_facts.write_facts(environment, facts)
        (environment / IN_USE).touch(0o664)
        (environment / RUN_CACHE).mkdir()
        Manifest(self.contents.key, self.purpose, time.time(), self.contents).write(environment)
        run_command(["sync", "-f", environment], env=self.uv.environ)

    def _link_mode(self, directory: Path) -> str:
        """Hard links where the volume has them: the fastest mode, with one copy of each file on the disk.

        uv 0.13.8: clones by default on Linux; symbolic links break when the cache is cleaned.
        https://docs.astral.sh/uv/reference/settings/#link-mode
        """
        requested = self.uv.settings.environ.get("UV_LINK_MODE")
        if requested in LINK_MODES:
            return requested
        if requested:
            self.log.warning(
                f"UV_LINK_MODE={requested} is ignored: only clone, copy and hardlink give environments that outlive"
                " uv's cache"
            )
        probe = directory / "probe"
        try:
            # uv 0.13.8: every cache has this file. https://github.com/astral-sh/uv/blob/0.13.8/crates/uv-cache/src/lib.rs
            os.link(self.uv.cache.uv_cache / "CACHEDIR.TAG", probe)
        except OSError as error:
            if is_disk_full(error):
                raise
            self._warn_of_copies(error)
            return "copy"
        probe.unlink()
        return "hardlink"

    def _warn_of_copies(self, error: OSError) -> None:
        both = f"uv's cache {self.uv.cache.uv_cache} and the environments in {self.cache.environments}"
        reason = (
            f"{both} are on different mounts: mount one volume at {self.cache.root}"
            if error.errno == errno.EXDEV
            else f"the file system of {self.cache.root} has no hard links ({error.strerror})"
        )
        self.log.warning(
            f"{reason}; packages are copied, which takes seconds instead of 0.1 s and twice the disk space"
        )
