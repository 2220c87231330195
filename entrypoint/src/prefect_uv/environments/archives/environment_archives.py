"""The archives: each environment is one file on the far volume, unpacked on the node that needs it.

    <cache>/archives/v1/<key>.tar.zst    an environment with its bytecode
    <cache>/index/v1/<fingerprint>       its key, as in any cache directory

An archive counts only if a trusted user owns it. zstd notices damage; what was unpacked is compared with the records of
its packages like a build, and appears by rename.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from uuid import uuid4

from prefect_uv.cache_volume.cache_directory import DAY_SECONDS, IN_USE, RUN_CACHE, CacheDirectory
from prefect_uv.cache_volume.full_disk import disk_full_error, says_disk_full
from prefect_uv.cache_volume.shared_umask import shared_umask
from prefect_uv.cache_volume.volume import users_of_volume
from prefect_uv.cache_volume.work_lock import holding_work_lock
from prefect_uv.environments.build.builder import ENVIRONMENT, build_directory
from prefect_uv.environments.build.verification import list_findings, mismatches
from prefect_uv.environments.garbage.leftovers import remove_old_files
from prefect_uv.environments.key import fingerprint_index
from prefect_uv.environments.key.manifest import Manifest
from prefect_uv.environments.published_environments import Environment, PublishedEnvironments
from prefect_uv.log.progress import logging_progress
from prefect_uv.log.run_log import RunLog
from prefect_uv.processes.subprocesses import run_command
from prefect_uv.settings import Settings
from prefect_uv.settings.tool_variables import variables_for_builds

ARCHIVE_NAME = re.compile(r"[0-9a-f]{64}\.tar\.zst")
TAR = ("tar", "--use-compress-program=zstd")
# GNU tar 1.35: 1 if files came or went meanwhile, as bytecode does; 2 if the archive is not usable.
# https://man7.org/linux/man-pages/man1/tar.1.html#RETURN_VALUE
PACKED = {0, 1}


@dataclass(frozen=True)
class EnvironmentArchives:
    """The archives of the far volume.

    Attributes:
        root: the volume; it is not touched before something is looked for or kept there.
        settings: the deployment's settings.
        log: the run's log.
        refused: the keys whose archives could not be used, so that `pack` replaces them.
    """

    root: Path
    settings: Settings
    log: RunLog
    refused: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, settings: Settings, log: RunLog) -> EnvironmentArchives | None:
        """The archives that the settings name; None if the cache volume is near."""
        return cls(settings.archive_dir, settings, log) if settings.archive_dir else None

    @cached_property
    def far(self) -> CacheDirectory:
        """The volume, with the users who are trusted there."""
        users = users_of_volume(self.root, self.settings.cache_trust)
        return CacheDirectory(self.root, users, self.root, self.settings.archive_readonly)

    def look_up(self, inputs: str) -> fingerprint_index.IndexEntry | None:
        """The entry that another node has written for a fingerprint."""
        return fingerprint_index.look_up_entry(self.far, inputs)

    def has(self, key: str) -> bool:
        """Whether there is an archive of an environment that may be used."""
        return self.far.trusts(self._path(key))

    def remember(self, inputs: str, entry: fingerprint_index.IndexEntry) -> None:
        """Let other nodes know the key for a fingerprint, if the volume is writable."""
        if not self.far.read_only:
            with suppress(OSError), shared_umask():
                self.far.prepare()
                fingerprint_index.write_entry(self.far, inputs, entry)

    def unpack(self, key: str, published: PublishedEnvironments) -> bool:
        """Publish an environment from its archive, if there is one; one container of the node does it for all.

        Raises:
            VolumeFullError, DiskFullError: there is no room for it.
        """
        if key in self.refused or not self.far.trusts(self._path(key)):
            return False
        near = published.cache
        near.prepare()
        with holding_work_lock(near.locks / key, lambda: published.has(key), self.log.info):
            if not published.has(key):
                with logging_progress(self.log, f"unpacking environment {key[:12]}"), shared_umask():
                    self._unpack(key, published)
        return published.has(key)

    def pack(self, environment: Environment) -> None:
        """Write an environment's archive, unless there is a usable one; remove archives that no node has used for long.

        A far volume that cannot be written to is logged, and disturbs nothing else.
        """
        if self.far.read_only:
            return
        try:
            self._pack(environment)
        except OSError as error:
            self.log.warning(f"environment {environment.key[:12]} was not archived: {error}")

    @property
    def _environ(self) -> dict[str, str]:
        return dict(variables_for_builds(self.settings.environ))

    def _path(self, key: str) -> Path:
        return self.far.archives / f"{key}.tar.zst"

    def _pack(self, environment: Environment) -> None:
        self.far.prepare()
        self.far.make_directory(self.far.archives)
        remove_old_files(self.far)
        self._remove_unused()
        path, temporary = self._path(environment.key), self.far.builds / f"write-{uuid4().hex}"
        if self.far.trusts(path) and environment.key not in self.refused:
            return
        try:
            options = ("--create", f"--file={temporary}", f"--directory={environment.path}")
            without = (f"--exclude=./{IN_USE}", f"--exclude=./{RUN_CACHE}", "--sort=name")
            done = run_command([*TAR, *options, *without, "."], env=self._environ)
            if done.exit_code not in PACKED:
                self.log.warning(f"environment {environment.key[:12]} was not archived: {done.report}")
                return
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        self.log.info(f"archived environment {environment.key[:12]}: {path.stat().st_size / 1e6:.0f} MB")

    def _unpack(self, key: str, published: PublishedEnvironments) -> None:
        path, near = self._path(key), published.cache
        with build_directory(near, key) as directory:
            environment = directory / ENVIRONMENT
            environment.mkdir()
            options = ("--extract", f"--file={path}", f"--directory={environment}", "--no-same-owner")
            done = run_command([*TAR, *options], env=self._environ)
            if says_disk_full(done.stderr):
                raise disk_full_error(environment, done.report, near.root)
            reason = done.report if done.exit_code else _damage(environment, key)
            if reason:
                self.log.warning(f"the archive of environment {key[:12]} is not used: {reason}")
                self.refused.add(key)
                return
            (environment / IN_USE).touch(0o664)
            (environment / RUN_CACHE).mkdir()
            run_command(["sync", "-f", environment], env=self._environ)
            published.publish(environment, key, self.log)
        self.log.info(f"environment {key[:12]} comes from its archive on {self.far.root}")
        with suppress(OSError):
            os.utime(path)

    def _remove_unused(self) -> None:
        """Remove archives that no node has unpacked for long, and the oldest ones beyond the size limit."""
        before = self.far.now() - self.settings.cache_days * DAY_SECONDS
        found = [(path, path.lstat()) for path in self.far.entries(self.far.archives, ARCHIVE_NAME)]
        total = sum(status.st_size for _, status in found)
        limit = self.settings.cache_limit or total
        for path, status in sorted(found, key=lambda item: item[1].st_mtime):
            if status.st_mtime < before or total > limit:
                self.far.delete(path)
                total -= status.st_size


def _damage(environment: Path, key: str) -> str:
    """What is wrong with an unpacked environment; empty if nothing is."""
    manifest = Manifest.read(environment)
    if manifest is None or manifest.key != key or manifest.contents.key != key:
        return "it contains another environment"
    return list_findings(mismatches(environment, manifest.contents))
