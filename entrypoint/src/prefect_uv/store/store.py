"""Look-up and building of environments on the volume.

<cache>/uv-<minor>/      uv's own cache
<cache>/envs/v1/<key>/   whole environments; the name exists only when the environment is complete
<cache>/index/v1/<fp>    fingerprint -> key
<cache>/tmp/             builds under way
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from prefect_uv.errors import EnvironmentDamagedError, PrefectMissingError, VolumeFullError
from prefect_uv.image import Image
from prefect_uv.process import run
from prefect_uv.project import Project
from prefect_uv.runlog import RunLog
from prefect_uv.settings import Settings
from prefect_uv.store.identity import LAYOUT, fingerprint, key
from prefect_uv.store.uv import SELECTION, Uv
from prefect_uv.store.verify import damages, packages

MANIFEST = "prefect-uv.json"
IN_USE = ".inuse"
PREFECT = ("prefect", "prefect-client")
POLL_SECONDS = 0.05
SAY_EVERY_SECONDS = 10.0
WAIT_SECONDS = 600.0


@dataclass(frozen=True)
class Environment:
    """A whole environment, held in use as long as this process or a child that inherits `lease` lives.

    Attributes:
        path: its directory; `bin/python` is its interpreter.
        key: what it is made of.
        hit: it was there already.
        prefect: the version of Prefect in it.
        uv_cache: uv's cache on the same volume.
        lease: a file descriptor with a shared lock.
    """

    path: Path
    key: str
    hit: bool
    prefect: str
    uv_cache: Path
    lease: int

    @property
    def note(self) -> str:
        """`hit` or `miss` with the short key, for the summary line."""
        return f"{'hit' if self.hit else 'miss'} {self.key[:12]}"


class Store:
    """The environments below a cache directory."""

    def __init__(self, settings: Settings, log: RunLog) -> None:
        self.settings = settings
        self.image = Image.read()
        self.log = log
        self.root = self._usable(settings.cache_dir)
        self.environments = self.root / "envs" / LAYOUT
        self.index = self.root / "index" / LAYOUT
        self.uv_cache = self.root / f"uv-{self.image.uv_minor}"
        self.tmp = self.root / "tmp"

    def environment(self, project: Project) -> Environment:
        """The environment for a project, from the store or built into it.

        Raises:
            LockfileStaleError, PrefectMissingError, PythonMissingError: before anything is built.
            SyncError, VolumeFullError: the build failed; nothing of it stays.
        """
        environ = self.settings.environ
        known = self.index / fingerprint(project, self.image, SELECTION, environ, self.settings.lock)
        if known.is_file() and (environment := self._open(known.read_text(), hit=True)):
            return environment
        try:
            return self._ask_uv(project, known)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise VolumeFullError(
                    f"No space is left on {self.root}.",
                    str(error),
                    "Make the cache volume larger, or delete what it holds.",
                ) from None
            raise

    def _usable(self, root: Path) -> Path:
        """The cache directory, or a private one in the container where nothing can be written to it."""
        try:
            root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=root):
                return root
        except OSError as error:
            if error.errno == errno.ENOSPC:
                return root
            private = Path(tempfile.mkdtemp(prefix="prefect-uv-store-"))
            self.log.warning(
                f"{root} is not writable ({error.strerror}): the environment is built for this run only, in {private}"
            )
            return private

    def _ask_uv(self, project: Project, known: Path) -> Environment:
        """On an unknown fingerprint: what would be installed, and is that there?"""
        uv = Uv(project, self.image, self.settings.environ, self.uv_cache)
        python = uv.python()
        if self.settings.lock == "relock":
            self.log.info("locking again, as PREFECT_UV_LOCK=relock says")
            uv.lock()
        requirements = uv.export(python, locked=self.settings.lock == "locked")
        _refuse_without_prefect(requirements, project)
        name = key(requirements, python, self.image, self.settings.environ)
        environment = self._open(name, hit=True) or self._build_once(uv, python, name)
        self._remember(known, name)
        return environment

    def _build_once(self, uv: Uv, python: str, name: str) -> Environment:
        with self._builder(name):
            if environment := self._open(name, hit=True):
                return environment
            self.log.info(f"building environment {name[:12]} with Python {self.image.python_version}")
            self._build(uv, python, name)
        environment = self._open(name, hit=False)
        if environment is None:
            message = f"Environment {name[:12]} vanished after it was built."
            raise EnvironmentDamagedError(message, hint="Something else deletes below the cache directory: stop it.")
        return environment

    @contextmanager
    def _builder(self, name: str) -> Iterator[None]:
        """Hold the right to build; it saves double work only, so after a bounded wait we build all the same."""
        self.tmp.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.tmp / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o664)
        try:
            self._wait_for(descriptor, name)
            yield
        finally:
            os.close(descriptor)

    def _wait_for(self, descriptor: int, name: str) -> None:
        start = said = time.monotonic()
        while not _locked(descriptor) and not self._path(name).exists() and time.monotonic() < start + WAIT_SECONDS:
            if time.monotonic() > said + SAY_EVERY_SECONDS:
                said = time.monotonic()
                self.log.info(f"another run builds environment {name[:12]}: waiting since {said - start:.0f} s")
            time.sleep(POLL_SECONDS)

    def _build(self, uv: Uv, python: str, name: str) -> None:
        """Build aside, verify, flush, rename: the name never stands for a partial environment."""
        place = self.tmp / f"{name[:12]}-{uuid4().hex}"
        try:
            uv.install(python, place)
            if missing := damages(place):
                message = (
                    f"uv reported success, but {len(missing)} file(s) of the environment are missing or cut short."
                )
                raise EnvironmentDamagedError(message, "\n".join(missing[:20]))
            installed = packages(place)
            if not any(package in installed for package in PREFECT):
                raise _without_prefect(uv.project)
            (place / IN_USE).touch(0o664)
            manifest = {"key": name, "created": time.time(), "uv": self.image.uv, "python": python}
            (place / MANIFEST).write_text(json.dumps({**manifest, "packages": installed}, indent=1))
            run(["sync", "-f", place], env=self.settings.environ)
            self._publish(place, name)
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _publish(self, place: Path, name: str) -> None:
        self.environments.mkdir(parents=True, exist_ok=True)
        try:
            place.rename(self._path(name))
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise

    def _open(self, name: str, *, hit: bool) -> Environment | None:
        """Take a whole environment into use; nothing when there is none."""
        path = self._path(name)
        try:
            lease = os.open(path / IN_USE, os.O_RDWR)
            manifest = json.loads((path / MANIFEST).read_text())
        except FileNotFoundError:
            return None
        fcntl.flock(lease, fcntl.LOCK_SH)
        os.utime(lease)
        version = next(manifest["packages"][package] for package in PREFECT if package in manifest["packages"])
        return Environment(path, name, hit, version, self.uv_cache, lease)

    def _remember(self, known: Path, name: str) -> None:
        self.index.mkdir(parents=True, exist_ok=True)
        aside = self.tmp / f"index-{uuid4().hex}"
        aside.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(name)
        aside.rename(known)

    def _path(self, name: str) -> Path:
        return self.environments / name


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _refuse_without_prefect(requirements: str, project: Project) -> None:
    starts = tuple(f"{package}{separator}" for package in PREFECT for separator in ("==", " @", "["))
    if not any(line.startswith(starts) for line in requirements.splitlines()):
        raise _without_prefect(project)


def _without_prefect(project: Project) -> PrefectMissingError:
    return PrefectMissingError(
        "Prefect is not among the project's locked dependencies.",
        f"{project.root / 'uv.lock'} does not lock prefect for the selected groups on this platform.",
        "Run `uv add prefect`, commit pyproject.toml and uv.lock, and push.",
    )
