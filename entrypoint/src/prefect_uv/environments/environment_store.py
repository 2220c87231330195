"""An environment for a project: looked up, or built once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from prefect_uv.cache_volume.cache_directory import shared_umask
from prefect_uv.cache_volume.lease import take_lease
from prefect_uv.cache_volume.work_lock import LogLine, holding_work_lock, shared_lock
from prefect_uv.environments.baked_environments import BakedEnvironments
from prefect_uv.environments.build import recent_failures
from prefect_uv.environments.build.builder import EnvironmentBuild
from prefect_uv.environments.garbage.garbage_collection import collect_garbage
from prefect_uv.environments.key import fingerprint_index
from prefect_uv.environments.key.fingerprint import fingerprint
from prefect_uv.environments.key.manifest import Manifest, base_for, described_environments, explain_miss, nearest
from prefect_uv.environments.maintenance import Maintenance
from prefect_uv.environments.plan import ExtraPackagesSource, Source, source_of
from prefect_uv.environments.published_environments import Environment, PublishedEnvironments
from prefect_uv.environments.uv.uv_command import Uv
from prefect_uv.environments.writable_location import environments_at, full_disk_as_error, writable_environments
from prefect_uv.errors import (
    EnvironmentDamagedError,
    IndexUnreachableError,
    SyncError,
    VolumeFullError,
    VolumeUnusableError,
)
from prefect_uv.image_facts import Image
from prefect_uv.log.run_log import RunLog
from prefect_uv.project import ExtraPackages, Project
from prefect_uv.settings import Settings


class EnvironmentStore:
    """The shelf in the image, the one on the cache volume, and a private one where that one does not serve."""

    def __init__(self, settings: Settings, log: RunLog) -> None:
        self.settings = settings
        self.image = Image.read()
        self.log = log
        self.baked = BakedEnvironments.of(settings, self.image)
        self.published = environments_at(settings.cache_dir, settings, self.image, read_only=settings.cache_readonly)
        self._writable: PublishedEnvironments | None = None

    def environment(self, project: Project) -> Environment:
        """The environment for a project, from the image or the store, or built into the store.

        Raises:
            BakedMismatchError: there is none in the image that fits, and others may not be used.
            LockfileStaleError, PrefectMissingError, PythonMissingError: before anything is built.
            SyncError, VolumeFullError: the build failed; nothing of it stays.
        """
        return self._obtained(source_of(project, self.settings))

    def extended(self, environment: Environment, extras: ExtraPackages, project: Project) -> Environment:
        """An environment that has the extras too: the same one where it has them, else one that takes its place.

        Raises:
            ExtrasConflictError, UnresolvableError: before anything is built.
            SyncError, VolumeFullError: the build failed; nothing of it stays.
        """
        if not extras:
            return environment
        manifest = Manifest.read(environment.path)
        if manifest is None:
            raise _vanished(environment.key)
        source = ExtraPackagesSource((environment.path, manifest), extras, project, self.settings)
        source.check()
        if loose := source.unpinned():
            self.log.warning(
                f"extra packages without a version: {', '.join(loose)}; the newest versions that fit are installed,"
                f" and resolved again after {self.settings.resolve_days} day(s) (PREFECT_UV_RESOLVE_DAYS)"
            )
        found = self._obtained(source)
        os.close((found if found.key == environment.key else environment).lease)
        return environment if found.key == environment.key else found

    def maintained(self, environment: Environment, leases: Sequence[int] = ()) -> Maintenance:
        """While this lasts: the leases are kept fresh, and garbage is collected when it is time."""
        return Maintenance(self.published, self.settings, self.log, environment, leases or (environment.lease,))

    def _obtained(self, source: Source) -> Environment:
        """By a look-up of the raw inputs; else uv is asked, and what is not there is built."""
        if environment := self.baked.look_up(source):
            return environment
        inputs = fingerprint(source.fields(), self.image, self.settings.environ, source.project.directory)
        known = fingerprint_index.look_up_entry(self.published.cache, inputs, self.published.trusted)
        stale = known is not None and not self.settings.offline and known.is_stale(self.settings.resolve_days)
        if known and not stale and (environment := self._open(known.key, hit=True)):
            self._compare(environment, source)
            return environment
        try:
            with shared_umask():
                return self._with_room(partial(self._found_or_built, source, inputs))
        except IndexUnreachableError as error:
            if known is None or (environment := self._open(known.key, hit=True)) is None:
                raise
            self.log.warning(
                f"versions of {source.name} could not be resolved again: {error.headline} Keeping the old ones."
            )
            return environment

    def _with_room(self, work: Callable[[], Environment]) -> Environment:
        """Work that may find the disk full: then room is made, once."""
        try:
            return work()
        except VolumeFullError as error:
            if isinstance(error, VolumeUnusableError) or self._writable not in {None, self.published}:
                raise
            root = self.published.cache.root
            self.log.warning(f"no space is left on {root}: removing what no run uses, then trying once more")
            with full_disk_as_error(root):
                collect_garbage(self.published.cache, self.settings, self.log, make_room=True)
            return work()

    def _found_or_built(self, source: Source, inputs: str) -> Environment:
        with full_disk_as_error(self.published.cache.root):
            self._writable = self._writable or self.writable()
            cache = self._writable.cache
            uv = Uv(self.settings, self.image, cache, self._writable.trusted, source.project.configuration)
            with shared_lock(cache.locks / "uv-cache"):
                plan = source.plan(uv, self.log)
                resolved = 0.0 if plan.pinned else time.time()
                key, python = plan.contents.key, plan.contents.python
                if environment := self._open(key, hit=True):
                    self._compare(environment, source)
                else:
                    instead = f"building environment {key[:12]} in {cache.root}"
                    self.baked.decline(plan.contents, source.name, instead, self.log)
                    environment = self._build_once(
                        self._writable, EnvironmentBuild(cache, uv, plan, source.name, self.log)
                    )
            with suppress(OSError):
                fingerprint_index.write_entry(
                    cache,
                    inputs,
                    fingerprint_index.IndexEntry(
                        key, source.name, python, fingerprint_index.file_stamp(python), resolved
                    ),
                )
            return environment

    def _compare(self, environment: Environment, source: Source) -> None:
        """An environment of the volume is used: if there are baked ones, the reader wants to know why."""
        if self.baked.nothing or environment.path.is_relative_to(self.baked.published.cache.root):
            return
        if manifest := Manifest.read(environment.path):
            instead = f"using environment {environment.key[:12]} from the volume"
            self.baked.decline(manifest.contents, source.name, instead, self.log)

    def _build_once(self, writable: PublishedEnvironments, build: EnvironmentBuild) -> Environment:
        key, cache = build.contents.key, writable.cache
        with holding_work_lock(cache.locks / key, lambda: _is_decided(writable, key), self.say(key)):
            if environment := self._open(key, hit=True):
                return environment
            if error := recent_failures.recent_failure(cache, key):
                raise error
            try:
                self._build(writable, build)
            except SyncError as error:
                recent_failures.remember_failure(cache, key, error)
                raise
        recent_failures.forget_failure(cache, key)
        environment = writable.open(key, hit=False)
        if environment is None:
            raise _vanished(key)
        return environment

    def _build(self, writable: PublishedEnvironments, build: EnvironmentBuild) -> None:
        known = [item for item in described_environments(writable.cache) if writable.trusts(item[0])]
        near = build.plan.base or nearest(known, build.contents, build.purpose)
        self.log.info(explain_miss(build.contents, build.purpose, near))
        base = None if build.plan.base else base_for([*known, *self.baked.known()], build.contents)
        held = take_lease(base[0], touch=False) if base else None
        try:
            with build.performed(base if held is not None else None) as environment:
                writable.publish(environment, build.contents.key, self.log)
        finally:
            if held is not None:
                os.close(held)

    def _open(self, key: str, *, hit: bool) -> Environment | None:
        return next(filter(None, (published.open(key, hit=hit) for published in self._places())), None)

    def _places(self) -> list[PublishedEnvironments]:
        """Where environments are looked for, in this order."""
        return list(dict.fromkeys(filter(None, (self.baked.published, self.published, self._writable))))

    def writable(self) -> PublishedEnvironments:
        """The cache directory, or a private one in the container where that one cannot be used."""
        writable = writable_environments(self.settings, self.image, self.log)
        if writable.cache.root == self.published.cache.root:
            self.published = writable
        return writable

    def say(self, key: str) -> LogLine:
        """Lines about an environment."""
        return lambda message: self.log.info(f"environment {key[:12]}: {message}")


def _is_decided(published: PublishedEnvironments, key: str) -> bool:
    """Whether waiting is over: the environment is there, or somebody found out that it cannot be built."""
    return published.has(key) or recent_failures.recent_failure(published.cache, key) is not None


def _vanished(key: str) -> EnvironmentDamagedError:
    message = f"Environment {key[:12]} disappeared."
    return EnvironmentDamagedError(message, hint="Find out what deletes files below the cache directory, and stop it.")
