"""Environments that are made from requirements and not from a project.

They serve delegated pull steps, and requirements files beside the project's environment. Named by what was asked for,
built aside, verified and renamed like every other one, and never changed afterwards.

<cache>/envs/isolated-v1/<key>/    whole environments
<cache>/tmp/isolated-*             builds under way
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from prefect_uv.errors import EnvironmentDamagedError, VolumeFullError
from prefect_uv.image import Image
from prefect_uv.process import run
from prefect_uv.runlog import RunLog
from prefect_uv.settings import Settings
from prefect_uv.store.identity import digest
from prefect_uv.store.uv import QUIET, explain
from prefect_uv.store.verify import damages, site_packages

LAYOUT = "isolated-v1"
MANIFEST = "prefect-uv.json"
IN_USE = ".inuse"
NOT_EMPTY = {errno.ENOTEMPTY, errno.EEXIST}
FULL = {errno.ENOSPC, errno.EDQUOT}
LEFTOVER_SECONDS = 24 * 3600
SHARED_UMASK = 0o002
HINT = "Check the step's `requires` or requirements file, and the package index that this container uses."


@dataclass(frozen=True)
class Wanted:
    """What an isolated environment is made from.

    Attributes:
        requirements: lines of a requirements file.
        files: requirements files.
        texts: their contents, with what they include: the environment's name depends on it.
        constraints: versions that must not change.
        python: the interpreter; the image's where none is named.
    """

    requirements: Sequence[str] = ()
    files: Sequence[Path] = ()
    texts: Sequence[str] = ()
    constraints: Sequence[str] = ()
    python: str = ""

    def key(self, image: Image) -> str:
        """The environment's name."""
        fields = [LAYOUT, image.uv_minor, self.python or image.python, image.python_version, image.platform]
        for values in (self.requirements, self.texts, self.constraints):
            fields += [str(len(values)), *values]
        return digest(fields)


def isolated(settings: Settings, log: RunLog, wanted: Wanted) -> Path:
    """The directory of the environment, from the volume or built into it, in use as long as this process lives.

    Raises:
        SyncError: uv could not build it.
        VolumeFullError: no space is left for it.
    """
    image = Image.read()
    root = settings.cache_dir
    path = root / "envs" / LAYOUT / wanted.key(image)
    try:
        if not path.is_dir():
            root = _usable(root, log)
            path = root / path.relative_to(settings.cache_dir)
            with shared_umask():
                _Build(root, image, settings, log).perform(wanted, path)
    except OSError as error:
        if error.errno in FULL:
            raise VolumeFullError(f"No space is left on {root}.", str(error)) from None
        raise
    fcntl.flock(os.open(path / IN_USE, os.O_RDONLY), fcntl.LOCK_SH)
    return path


def installed(environment: Path) -> dict[str, str]:
    """Names and versions of the installed distributions, as their directories say."""
    names = (path.name.removesuffix(".dist-info") for path in site_packages(environment).glob("*.dist-info"))
    return {name.replace("_", "-").lower(): version for name, _, version in (name.rpartition("-") for name in names)}


@contextmanager
def shared_umask() -> Iterator[None]:
    """What is written meanwhile, by us and our children, can be used by our group: arbitrary uids share group 0."""
    before = os.umask(SHARED_UMASK)
    try:
        yield
    finally:
        os.umask(before)


def _usable(root: Path, log: RunLog) -> Path:
    """The cache directory, or a private one in the container where nothing can be written to it."""
    try:
        with shared_umask():
            (root / "envs" / LAYOUT).mkdir(parents=True, exist_ok=True)
            (root / "tmp").mkdir(exist_ok=True)
        if os.access(root / "envs" / LAYOUT, os.W_OK) and os.access(root / "tmp", os.W_OK):
            return root
        reason = "it belongs to another user"
    except OSError as error:
        if error.errno in FULL:
            raise
        reason = str(error.strerror)
    log.warning(f"{root} is not writable ({reason}): the environment for a pull step is built for this run only")
    private = Path(tempfile.mkdtemp(prefix="prefect-uv-isolated-"))
    return _usable(private, log)


@dataclass(frozen=True)
class _Build:
    root: Path
    image: Image
    settings: Settings
    log: RunLog

    def perform(self, wanted: Wanted, path: Path) -> None:
        names = [*wanted.requirements, *(str(file) for file in wanted.files)]
        self.log.info(f"building environment {path.name[:12]} for {', '.join(names)}")
        self._sweep()
        place = self.root / "tmp" / f"isolated-{uuid4().hex}"
        place.mkdir()
        try:
            self._install(wanted, place)
            if bad := damages(place / "env"):
                headline = "uv reported success, but the environment for a pull step is not whole."
                raise EnvironmentDamagedError(headline, "\n".join(list(bad)[:20]))
            (place / "env" / IN_USE).touch(0o664)
            manifest = {"key": path.name, "created": time.time(), "for": names, "packages": installed(place / "env")}
            (place / "env" / MANIFEST).write_text(json.dumps(manifest, indent=1))
            run(["sync", "-f", place], env=self.settings.environ)
            _publish(place / "env", path)
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _install(self, wanted: Wanted, place: Path) -> None:
        listed, constraints = place / "requirements.in", place / "constraints.in"
        listed.write_text("\n".join(wanted.requirements))
        constraints.write_text("\n".join(wanted.constraints))
        options = [option for file in (listed, *wanted.files) for option in ("-r", str(file))]
        options += ["-c", str(constraints)] if wanted.constraints else []
        python = wanted.python or self.image.python
        self._uv("venv", "--no-project", "--relocatable", "--python", python, str(place / "env"))
        self._uv("pip", "install", "--python", str(place / "env" / "bin" / "python"), *options)

    def _uv(self, *arguments: str) -> None:
        environ = {name: value for name, value in self.settings.environ.items() if name != "VIRTUAL_ENV"}
        own = {"UV_CACHE_DIR": str(self.root / f"uv-{self.image.uv_minor}"), "UV_PYTHON_DOWNLOADS": "never"}
        finished = run(["uv", *QUIET, *arguments], env={**environ, **own})
        if finished.exit_code:
            error = explain(finished)
            raise type(error)("uv could not build the environment for a pull step.", error.found, HINT)

    def _sweep(self) -> None:
        """What builders left that were killed a day ago or earlier."""
        for left in (self.root / "tmp").glob("isolated-*"):
            if time.time() - left.stat().st_mtime > LEFTOVER_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


def _publish(environment: Path, path: Path) -> None:
    try:
        environment.rename(path)
    except OSError as error:
        if error.errno not in NOT_EMPTY:
            raise
