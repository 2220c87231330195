"""Environments of the store that are made from requirements and not from a project.

They serve delegated pull steps, and requirements files beside the project's environment. Named by what was asked for,
built aside, verified and renamed like every other one, and never changed afterwards.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from prefect_uv.errors import EnvironmentDamagedError, VolumeFullError
from prefect_uv.process import run
from prefect_uv.store.identity import LAYOUT, digest
from prefect_uv.store.store import IN_USE, MANIFEST, Store
from prefect_uv.store.uv import QUIET, explain
from prefect_uv.store.verify import damages, packages

NOT_EMPTY = {errno.ENOTEMPTY, errno.EEXIST}
FULL = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True)
class Wanted:
    """What an isolated environment is made from.

    Attributes:
        requirements: lines of a requirements file.
        files: requirements files.
        texts: their contents, with what they include: the environment's name depends on it.
        constraints: versions that must not change.
        python: the interpreter.
    """

    requirements: Sequence[str] = ()
    files: Sequence[Path] = ()
    texts: Sequence[str] = ()
    constraints: Sequence[str] = ()
    python: str = ""


def isolated(store: Store, wanted: Wanted) -> Path:
    """The directory of the environment, from the store or built into it, in use as long as this process lives.

    Raises:
        SyncError: uv could not build it.
        VolumeFullError: no space is left for it.
    """
    image = store.image
    python = wanted.python or image.python
    fields = [LAYOUT, "isolated", image.uv_minor, python, image.python_version, image.platform]
    for values in (wanted.requirements, wanted.texts, wanted.constraints):
        fields += [str(len(values)), *values]
    path = store.environments / digest(fields)
    try:
        if not (path / MANIFEST).is_file():
            _build(store, wanted, python, path)
    except OSError as error:
        if error.errno in FULL:
            raise VolumeFullError(f"No space is left on {store.root}.", str(error)) from None
        raise
    fcntl.flock(os.open(path / IN_USE, os.O_RDONLY), fcntl.LOCK_SH)
    return path


def _build(store: Store, wanted: Wanted, python: str, path: Path) -> None:
    names = [*wanted.requirements, *(str(file) for file in wanted.files)]
    store.log.info(f"building environment {path.name[:12]} for {', '.join(names)}")
    place = store.tmp / f"{path.name[:12]}-{uuid4().hex}"
    try:
        _install(store, wanted, python, place)
        if missing := damages(place):
            message = f"uv reported success, but {len(missing)} file(s) of the environment are missing or cut short."
            raise EnvironmentDamagedError(message, "\n".join(missing[:20]))
        (place / IN_USE).touch(0o664)
        manifest = {"key": path.name, "created": time.time(), "uv": store.image.uv, "python": python, "for": names}
        (place / MANIFEST).write_text(json.dumps({**manifest, "packages": packages(place)}, indent=1))
        run(["sync", "-f", place], env=store.settings.environ)
        _publish(place, path)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _install(store: Store, wanted: Wanted, python: str, place: Path) -> None:
    store.tmp.mkdir(parents=True, exist_ok=True)
    listed = Path(f"{place}.in")
    constraints = Path(f"{place}.constraints")
    try:
        listed.write_text("\n".join(wanted.requirements))
        constraints.write_text("\n".join(wanted.constraints))
        files = [option for file in (listed, *wanted.files) for option in ("-r", str(file))]
        files += ["-c", str(constraints)] if wanted.constraints else []
        _uv(store, "venv", "--no-project", "--relocatable", "--python", python, str(place))
        _uv(store, "pip", "install", "--python", str(place / "bin" / "python"), *files)
    finally:
        listed.unlink(missing_ok=True)
        constraints.unlink(missing_ok=True)


def _uv(store: Store, *arguments: str) -> None:
    own = {"UV_CACHE_DIR": str(store.uv_cache), "UV_LINK_MODE": "hardlink", "UV_PYTHON_DOWNLOADS": "never"}
    environ = {name: value for name, value in store.settings.environ.items() if name != "VIRTUAL_ENV"}
    finished = run(["uv", *QUIET, *arguments], env={**own, **environ, "UV_CACHE_DIR": own["UV_CACHE_DIR"]})
    if finished.exit_code:
        error = explain(finished)
        hint = "Check the step's `requires` or requirements file, and the package index that this container uses."
        raise type(error)("uv could not build the environment for a pull step.", error.found, hint)


def _publish(place: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        place.rename(path)
    except OSError as error:
        if error.errno not in NOT_EMPTY:
            raise
