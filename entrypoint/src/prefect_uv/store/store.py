"""An environment for a project: looked up, or built once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from prefect_uv.errors import (
    EnvironmentDamagedError,
    IndexUnreachableError,
    SyncError,
    VolumeFullError,
    VolumeUnusableError,
)
from prefect_uv.image import Image
from prefect_uv.project import Extras, Project
from prefect_uv.runlog import RunLog
from prefect_uv.settings import Settings
from prefect_uv.store import failures, index
from prefect_uv.store.baked import Baked
from prefect_uv.store.build import Build
from prefect_uv.store.gc import collect
from prefect_uv.store.home import full_disk_is_an_error, shelf_at, writable
from prefect_uv.store.identity import fingerprint
from prefect_uv.store.keeper import Keeper
from prefect_uv.store.manifest import Manifest, explanation, foundation, manifests, nearest
from prefect_uv.store.shelf import Environment, Shelf
from prefect_uv.store.sources import Additions, Source, source_of
from prefect_uv.store.uv import Uv
from prefect_uv.volume.layout import shared_umask
from prefect_uv.volume.lease import lease
from prefect_uv.volume.lock import Say, claimed, shared


class Store:
    """The shelf in the image, the one on the cache volume, and a private one where that one does not serve."""

    def __init__(self, settings: Settings, log: RunLog) -> None:
        self.settings = settings
        self.image = Image.read()
        self.log = log
        self.baked = Baked.of(settings, self.image)
        self.shelf = shelf_at(settings.cache_dir, settings, self.image, read_only=settings.cache_readonly)
        self._home: Shelf | None = None

    def environment(self, project: Project) -> Environment:
        """The environment for a project, from the image or the store, or built into the store.

        Raises:
            BakedMismatchError: there is none in the image that fits, and others may not be used.
            LockfileStaleError, PrefectMissingError, PythonMissingError: before anything is built.
            SyncError, VolumeFullError: the build failed; nothing of it stays.
        """
        return self._obtained(source_of(project, self.settings))

    def extended(self, environment: Environment, extras: Extras, project: Project) -> Environment:
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
        source = Additions((environment.path, manifest), extras, project, self.settings)
        source.check()
        if loose := source.unpinned():
            self.log.warning(
                f"extra packages without a version: {', '.join(loose)}; the newest that fit are taken, and looked for"
                f" again after {self.settings.resolve_days} day(s) (PREFECT_UV_RESOLVE_DAYS)"
            )
        found = self._obtained(source)
        os.close((found if found.key == environment.key else environment).lease)
        return environment if found.key == environment.key else found

    def keeping(self, environment: Environment, leases: Sequence[int] = ()) -> Keeper:
        """While this lasts: the leases are kept fresh, and garbage is collected when it is time."""
        return Keeper(self.shelf, self.settings, self.log, environment, leases or (environment.lease,))

    def _obtained(self, source: Source) -> Environment:
        """By a look-up of the raw inputs; else uv is asked, and what is not there is built."""
        if environment := self.baked.look_up(source):
            return environment
        inputs = fingerprint(source.fields(), self.image, self.settings.environ, source.project.directory)
        known = index.look_up(self.shelf.area, inputs, self.shelf.trusted)
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
            self.log.warning(f"versions of {source.name} could not be looked for again: {error.headline} The old stay.")
            return environment

    def _with_room(self, work: Callable[[], Environment]) -> Environment:
        """Work that may find the disk full: then room is made, once."""
        try:
            return work()
        except VolumeFullError as error:
            if isinstance(error, VolumeUnusableError) or self._home not in {None, self.shelf}:
                raise
            root = self.shelf.area.root
            self.log.warning(f"no space is left on {root}: removing what no run uses, then one more try")
            with full_disk_is_an_error(root):
                collect(self.shelf.area, self.settings, self.log, make_room=True)
            return work()

    def _found_or_built(self, source: Source, inputs: str) -> Environment:
        with full_disk_is_an_error(self.shelf.area.root):
            self._home = self._home or self.writable()
            area = self._home.area
            uv = Uv(self.settings, self.image, area, self._home.trusted, source.project.configuration)
            with shared(area.locks / "uv-cache"):
                plan = source.plan(uv, self.log)
                resolved = 0.0 if plan.pinned else time.time()
                key, python = plan.contents.key, plan.contents.python
                if environment := self._open(key, hit=True):
                    self._compare(environment, source)
                else:
                    instead = f"environment {key[:12]} is built in {area.root}"
                    self.baked.decline(plan.contents, source.name, instead, self.log)
                    environment = self._build_once(self._home, Build(area, uv, plan, source.name, self.log))
            with suppress(OSError):
                index.write(area, inputs, index.Known(key, source.name, python, index.stamp(python), resolved))
            return environment

    def _compare(self, environment: Environment, source: Source) -> None:
        """An environment of the volume is used: if there are baked ones, the reader wants to know why."""
        if self.baked.nothing or environment.path.is_relative_to(self.baked.shelf.area.root):
            return
        if manifest := Manifest.read(environment.path):
            instead = f"environment {environment.key[:12]} of the volume is used"
            self.baked.decline(manifest.contents, source.name, instead, self.log)

    def _build_once(self, home: Shelf, build: Build) -> Environment:
        key, area = build.contents.key, home.area
        with claimed(area.locks / key, lambda: _is_decided(home, key), self.say(key)):
            if environment := self._open(key, hit=True):
                return environment
            if error := failures.recent(area, key):
                raise error
            try:
                self._build(home, build)
            except SyncError as error:
                failures.remember(area, key, error)
                raise
        failures.forget(area, key)
        environment = home.open(key, hit=False)
        if environment is None:
            raise _vanished(key)
        return environment

    def _build(self, home: Shelf, build: Build) -> None:
        known = [item for item in manifests(home.area) if home.trusts(item[0])]
        near = build.plan.base or nearest(known, build.contents, build.purpose)
        self.log.info(explanation(build.contents, build.purpose, near))
        base = None if build.plan.base else foundation([*known, *self.baked.known()], build.contents)
        held = lease(base[0], touch=False) if base else None
        try:
            with build.performed(base if held is not None else None) as environment:
                home.publish(environment, build.contents.key, self.log)
        finally:
            if held is not None:
                os.close(held)

    def _open(self, key: str, *, hit: bool) -> Environment | None:
        return next(filter(None, (shelf.open(key, hit=hit) for shelf in self._shelves())), None)

    def _shelves(self) -> list[Shelf]:
        """Where environments are looked for, in this order."""
        return list(dict.fromkeys(filter(None, (self.baked.shelf, self.shelf, self._home))))

    def writable(self) -> Shelf:
        """The cache directory, or a private one in the container where that one cannot be used."""
        home = writable(self.settings, self.image, self.log)
        if home.area.root == self.shelf.area.root:
            self.shelf = home
        return home

    def say(self, key: str) -> Say:
        """Lines about an environment."""
        return lambda message: self.log.info(f"environment {key[:12]}: {message}")


def _is_decided(shelf: Shelf, key: str) -> bool:
    """Whether waiting is over: the environment is there, or somebody found out that it cannot be built."""
    return shelf.has(key) or failures.recent(shelf.area, key) is not None


def _vanished(key: str) -> EnvironmentDamagedError:
    message = f"Environment {key[:12]} vanished."
    return EnvironmentDamagedError(message, hint="Something else deletes below the cache directory: stop it.")
