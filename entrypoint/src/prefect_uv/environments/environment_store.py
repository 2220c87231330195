"""The environment store: finds a project's environment, or builds it if there is none."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from prefect_uv.cache_volume.file_lock import shared_lock
from prefect_uv.cache_volume.full_disk import full_disk_as_error
from prefect_uv.cache_volume.shared_umask import shared_umask
from prefect_uv.environments.baked_environments import BakedEnvironments
from prefect_uv.environments.build.builder import EnvironmentBuild
from prefect_uv.environments.build.exclusive_build import ExclusiveBuild
from prefect_uv.environments.build.recent_failures import RecentFailure
from prefect_uv.environments.garbage.garbage_collection import collect_garbage
from prefect_uv.environments.key import fingerprint_index
from prefect_uv.environments.key.fingerprint import fingerprint
from prefect_uv.environments.key.manifest import Manifest
from prefect_uv.environments.maintenance import Maintenance
from prefect_uv.environments.plan import ExtraPackagesSource, Source, source_of
from prefect_uv.environments.plan.malware_check import is_checked_each_time
from prefect_uv.environments.policy import policy_check_of
from prefect_uv.environments.published_environments import Environment, PublishedEnvironments, disappeared_error
from prefect_uv.environments.uv.uv_command import Uv
from prefect_uv.environments.writable_location import environments_at, links_as_error, writable_environments
from prefect_uv.errors import IndexUnreachableError, PrefectUvError, VolumeFullError
from prefect_uv.git_access.clone import Clone
from prefect_uv.image_facts import Image
from prefect_uv.log.run_log import RunLog
from prefect_uv.project import ExtraPackages, Project
from prefect_uv.settings import Settings

if TYPE_CHECKING:
    from prefect_uv.environments.archives.environment_archives import EnvironmentArchives
    from prefect_uv.environments.plan.source import Plan

Found = TypeVar("Found")

BAKED = "it is baked into the image"
KNOWN_INPUTS = "what it is made from is known here, and has not changed"
SAME_PACKAGES = "what it is made from is new here; uv was asked, and plans what is there already"
UNPACKED = "another node has built it: unpacked from its archive"
RESOLVED_EARLIER = "the index cannot be reached, so the versions are those that were resolved earlier"


class EnvironmentStore:
    """The environments in the image, on the cache volume, and in a private directory if the volume cannot be used."""

    def __init__(
        self,
        settings: Settings,
        log: RunLog,
        clone: Clone | None = None,
        before_build: Callable[[], None] = lambda: None,
    ) -> None:
        """Open them.

        Args:
            settings: the deployment's settings.
            log: the run's log.
            clone: the clone whose login serves dependencies on its host; None for none.
            before_build: called before an environment is built.
        """
        self.before_build = before_build
        self.settings = settings
        self.clone = clone
        self.image = Image.read()
        self.log = log
        self.baked = BakedEnvironments.of(settings, self.image)
        self.volume = environments_at(settings.cache_dir, settings, self.image, read_only=settings.cache_readonly)
        self.archives = _archives(settings, log)
        self.policy_check = policy_check_of(settings, log)
        self._writable: PublishedEnvironments | None = None

    def environment(self, project: Project) -> Environment:
        """The environment of a project, found or built.

        Raises:
            BakedMismatchError: no baked environment fits, and no other may be used.
            LockfileStaleError, PrefectMissingError, PythonMissingError: the project cannot be installed as it is;
                nothing was built.
            PolicyViolatedError: the policy refuses it.
            SyncError, VolumeFullError: the build failed and left nothing behind.
        """
        return self._allowed(source_of(project, self.settings))

    def extend(self, environment: Environment, extra_packages: ExtraPackages, project: Project) -> Environment:
        """Return an environment that also has the extra packages.

        It is the given one if that has them already; else another one, and the lease of the given one is closed.

        Raises:
            ExtraPackagesConflictError, UnresolvableError: the packages do not fit; nothing was built.
            PolicyViolatedError: the policy refuses it.
            SyncError, VolumeFullError: the build failed and left nothing behind.
        """
        if not extra_packages:
            return environment
        manifest = Manifest.read(environment.path)
        if manifest is None:
            raise disappeared_error(environment.key)
        source = ExtraPackagesSource((environment.path, manifest), extra_packages, project, self.settings)
        source.check()
        if unpinned := source.unpinned():
            self.log.warning(
                f"extra packages without a version: {', '.join(unpinned)}; the newest versions that fit are installed,"
                f" and resolved again after {self.settings.resolve_days} day(s) (PREFECT_UV_RESOLVE_DAYS)"
            )
        extended = self._allowed(source)
        if extended.key == environment.key:
            os.close(extended.lease)
            return environment
        os.close(environment.lease)
        return extended if environment.hit else replace(extended, why=f"{environment.why}; {extended.why}")

    def maintenance(self, environment: Environment, leases: Sequence[int] = ()) -> Maintenance:
        """A context for the time in which an environment is used: keeps leases fresh, and collects garbage when due."""
        leases = leases or (environment.lease,)
        maintenance = Maintenance(self.volume, self.settings, self.log, environment, leases)
        if self.archives:
            maintenance.pack = self.archives.pack
        if self.policy_check and self.policy_check.policy.audits:
            places = environment, self.volume.cache, self.baked.published.cache
            maintenance.recheck = partial(self.policy_check.recheck, *places)
        return maintenance

    def _allowed(self, source: Source) -> Environment:
        """Find or build an environment; if there is a policy, apply it."""
        environment = self._find_or_build(source)
        if self.policy_check:
            try:
                places = self.volume.cache, self.baked.published.cache
                self.policy_check.judge(environment, *places, source.hashed_names, partial(self._plan_again, source))
            except BaseException:
                os.close(environment.lease)
                raise
        return environment

    @contextmanager
    def planning(self, source: Source) -> Iterator[tuple[Plan, Uv]]:
        """uv's plan for a source, and that uv, whose cache nobody deletes during the block.

        Raises:
            PrefectUvError: nothing can be planned, or a problem of the volume during the block.
        """
        with full_disk_as_error(self.volume.cache.root), links_as_error():
            cache = self.writable().cache
            uv = Uv(self.settings, self.image, cache, self.log, source.project.uv_configuration, self.clone)
            with shared_lock(cache.locks / "uv-cache"):
                yield source.plan(uv, self.log), uv

    def _plan_again(self, source: Source) -> Plan | None:
        """uv's plan for an environment that is there; None if it cannot be had, as without a network."""
        try:
            with shared_umask(), self.planning(source) as (plan, _):
                return plan
        except PrefectUvError as error:
            self.log.warning(f"policy: uv does not say where the packages come from: {error.headline}")
            return None

    def _find_or_build(self, source: Source) -> Environment:
        """Look the raw inputs up; ask uv only if they are unknown, were resolved too long ago, or are to be checked."""
        checked = is_checked_each_time(source, self.settings.environ)
        if not checked and (environment := self.baked.look_up(source)):
            return replace(environment, why=BAKED)
        inputs = fingerprint(source.fields(), self.image, self.settings.environ, source.project.directory)
        entry = fingerprint_index.look_up_entry(self.volume.cache, inputs) or self._archived_entry(inputs)
        stale = entry is not None and not self.settings.offline and entry.is_stale(self.settings.resolve_days)
        if entry and not stale and not checked and (environment := self._open_or_unpack(entry.key)):
            self._report_baked_mismatch(environment, source)
            return replace(environment, why=environment.why or KNOWN_INPUTS)
        try:
            with shared_umask():
                return self.with_room(partial(self._plan_and_build, source, inputs))
        except IndexUnreachableError as error:
            if entry is None or checked or (environment := self._open(entry.key)) is None:
                raise
            self.log.warning(
                f"versions of {source.name} could not be resolved again: {error.headline} Using those resolved earlier."
            )
            return replace(environment, why=RESOLVED_EARLIER)

    def with_room(self, work: Callable[[], Found]) -> Found:
        """Do work that may fill the cache volume; if it does, collect garbage and try once more.

        Raises:
            VolumeFullError, DiskFullError: there is no room for it even then.
        """
        try:
            return work()
        except VolumeFullError as error:
            if type(error) is not VolumeFullError or self._writable not in {None, self.volume}:
                raise
            root = self.volume.cache.root
            self.log.warning(f"no space is left on {root}: removing what no run uses, then trying once more")
            with full_disk_as_error(root):
                collect_garbage(self.volume.cache, self.settings, self.log, make_room=True)
            return work()

    def _plan_and_build(self, source: Source, inputs: str) -> Environment:
        """Ask uv what to install, find or build that environment, and remember the answer under the fingerprint."""
        with self.planning(source) as (plan, uv):
            resolved = 0.0 if plan.pinned else time.time()
            if environment := self._open_or_unpack(plan.contents.key):
                environment = replace(environment, why=environment.why or SAME_PACKAGES)
                self._report_baked_mismatch(environment, source)
            else:
                if self.policy_check:
                    self.policy_check.before_build(plan)
                environment = self._build(EnvironmentBuild(uv.cache, uv, plan, source.name, self.log), inputs)
            entry = fingerprint_index.IndexEntry.of(environment.key, source.name, plan.contents.python, resolved)
            with suppress(OSError):
                fingerprint_index.write_entry(uv.cache, inputs, entry)
            if self.archives:
                self.archives.remember(inputs, entry)
            return environment

    def _archived_entry(self, inputs: str) -> fingerprint_index.IndexEntry | None:
        """The entry that another node has written for a fingerprint, from now on in our index, too."""
        entry = self.archives.look_up(inputs) if self.archives else None
        if entry:
            with suppress(OSError), shared_umask():
                fingerprint_index.write_entry(self.writable().cache, inputs, entry)
        return entry

    def _open_or_unpack(self, key: str) -> Environment | None:
        """Open an environment; if there is none, unpack its archive first, if there is one."""
        environment = self._open(key)
        if environment or self.archives is None:
            return environment
        with full_disk_as_error(self.volume.cache.root), links_as_error(), shared_umask():
            unpacked = self.with_room(partial(self.archives.unpack, key, self.writable()))
        opened = self._open(key) if unpacked else None
        return replace(opened, why=UNPACKED) if opened else None

    def _build(self, build: EnvironmentBuild, inputs: str) -> Environment:
        self.before_build()
        key = build.contents.key
        instead = f"building environment {key[:12]} in {build.cache.root}"
        self.baked.report_mismatch(build.contents, build.purpose, instead, self.log)
        failure = RecentFailure.of(build.cache, key, inputs, self.settings.environ)
        find, baked = partial(self._open, key), self.baked.environments()
        return ExclusiveBuild(build, self.writable(), find, baked, failure).perform()

    def _report_baked_mismatch(self, environment: Environment, source: Source) -> None:
        """If there are baked environments, or should be, say why one from the volume is used instead."""
        quiet = self.baked.is_empty and self.settings.baked != "refuse"
        if quiet or environment.path.is_relative_to(self.baked.published.cache.root):
            return
        if manifest := Manifest.read(environment.path):
            instead = f"using environment {environment.key[:12]} from the volume"
            self.baked.report_mismatch(manifest.contents, source.name, instead, self.log)

    def _open(self, key: str) -> Environment | None:
        """Open an environment with a lease on it: from the image, else the volume, else a private directory."""
        locations = dict.fromkeys(filter(None, (self.baked.published, self.volume, self._writable)))
        return next(filter(None, (location.open(key, hit=True) for location in locations)), None)

    def writable(self) -> PublishedEnvironments:
        """Where environments are built: the cache directory, or a private one in the container if it cannot be used."""
        if self._writable is None:
            self._writable = writable_environments(self.settings, self.image, self.log)
            if self._writable.cache.root == self.volume.cache.root:
                self.volume = self._writable
        return self._writable


def _archives(settings: Settings, log: RunLog) -> EnvironmentArchives | None:
    """The archives of a far volume, if there is one."""
    if settings.archive_dir is None:
        return None
    from prefect_uv.environments.archives.environment_archives import EnvironmentArchives  # noqa: PLC0415 (rarely needed)

    return EnvironmentArchives.of(settings, log)
