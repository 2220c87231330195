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

from prefect_uv.errors import EnvironmentDamagedError
from prefect_uv.process import run
from prefect_uv.runlog import RunLog
from prefect_uv.store.bytecode import Bytecode
from prefect_uv.store.clone import clone
from prefect_uv.store.contents import Contents
from prefect_uv.store.manifest import RUN_CACHE, Known, Manifest
from prefect_uv.store.sources.base import Plan
from prefect_uv.store.uv import Uv, steady_path
from prefect_uv.store.verify import listed, surprises
from prefect_uv.volume.layout import IN_USE, Area
from prefect_uv.volume.lock import Claim

CLAIM = "claim"
ENVIRONMENT = "env"
FULL = {errno.ENOSPC, errno.EDQUOT}
LINK_MODES = {"clone", "copy", "hardlink"}


@contextmanager
def aside(area: Area, key: str) -> Iterator[Path]:
    """A directory to build in, under a claim that says that its builder lives; it goes with all that is left."""
    place = area.builds / f"{key[:12]}-{uuid4().hex}"
    place.mkdir()
    claim = Claim(place / CLAIM)
    try:
        claim.take()
        claim.start()
        yield place
    finally:
        claim.close()
        shutil.rmtree(place, ignore_errors=True)


@dataclass(frozen=True)
class Build:
    """One build of one environment, in one area."""

    area: Area
    uv: Uv
    plan: Plan
    purpose: str
    log: RunLog

    @property
    def contents(self) -> Contents:
        """What is built."""
        return self.plan.contents

    @contextmanager
    def performed(self, near: Known | None) -> Iterator[Path]:
        """A whole environment beside the others, to be moved to its name; whatever is left of it goes.

        Raises:
            SyncError: uv could not build it, or what it built is not whole.
        """
        with aside(self.area, self.contents.key) as place:
            self._fill(place / ENVIRONMENT, near)
            Bytecode(self.area.bytecode, self.uv.trusted).restore(place / ENVIRONMENT, self.contents)
            self._finish(place / ENVIRONMENT)
            yield place / ENVIRONMENT

    def _fill(self, environment: Path, near: Known | None) -> None:
        """From a near one if that succeeds, else anew; damaged packages in uv's cache are fetched again, once."""
        mode = self._link_mode(environment.parent)
        if near is not None and self._fill_from(*near, environment, mode):
            return
        found = self._fill_anew(environment, mode)
        if found:
            self.log.warning(f"damaged in uv's cache, fetched again: {', '.join(found)}")
            self.uv.clean(found)
            shutil.rmtree(environment)
            found = self._fill_anew(environment, mode)
        if found:
            headline = "uv reported success, but the environment is not whole."
            raise EnvironmentDamagedError(headline, listed(found), "Run `prefect-uv cache prune --all` on the volume.")

    def _fill_from(self, path: Path, manifest: Manifest, environment: Path, mode: str) -> bool:
        try:
            clone(path, environment, without=self.contents.changed(manifest.contents))
            self._install(environment, mode)
            if not surprises(environment, self.contents, self.uv.environ):
                return True
        except OSError as error:
            if error.errno in FULL:
                raise
        self.log.info(f"{manifest.key[:12]} could not be built upon: building from nothing")
        shutil.rmtree(environment)
        return False

    def _fill_anew(self, environment: Path, mode: str) -> dict[str, list[str]]:
        """From nothing, or from the environment that this one is an addition to."""
        if self.plan.base is not None:
            clone(self.plan.base[0], environment)
        else:
            self.uv.venv(self.contents.python, environment)
        self._install(environment, mode)
        return surprises(environment, self.contents, self.uv.environ)

    def _install(self, environment: Path, mode: str) -> None:
        with steady_path(environment.parent) as place:
            self.plan.install(place / environment.name, mode)

    def _finish(self, environment: Path) -> None:
        """Manifest and in-use file, and everything on the disk, before the name exists."""
        (environment / IN_USE).touch(0o664)
        (environment / RUN_CACHE).mkdir()
        Manifest(self.contents.key, self.purpose, time.time(), self.contents).write(environment)
        run(["sync", "-f", environment], env=self.uv.environ)

    def _link_mode(self, place: Path) -> str:
        """Hard links where the volume can: the fastest by far, and one copy of each file (uv 0.13.8)."""
        wanted = self.uv.settings.environ.get("UV_LINK_MODE")
        if wanted in LINK_MODES:
            return wanted
        if wanted:
            self.log.warning(f"UV_LINK_MODE={wanted} is not used: such environments break when uv's cache is cleaned")
        probe = place / "probe"
        try:
            os.link(self.uv.cache / "CACHEDIR.TAG", probe)
        except OSError as error:
            if error.errno in FULL:
                raise
            self._warn(error)
            return "copy"
        probe.unlink()
        return "hardlink"

    def _warn(self, error: OSError) -> None:
        where = f"uv's cache {self.uv.cache} and the environments in {self.area.environments}"
        reason = (
            f"{where} are on different mounts: mount one volume at {self.area.root}"
            if error.errno == errno.EXDEV
            else f"the file system of {self.area.root} has no hard links ({error.strerror})"
        )
        self.log.warning(f"{reason}; packages are copied, which takes seconds instead of 0.1 s and twice the space")
