"""Environments that are made from requirements and not from a project.

They serve delegated pull steps, and requirements files beside the project's environment. Named by what was asked for,
built aside, verified, leased and collected like every other one, and never changed afterwards.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.errors import EnvironmentDamagedError
from prefect_uv.image import Image
from prefect_uv.process import run
from prefect_uv.store.build import ENVIRONMENT, aside
from prefect_uv.store.identity import digest
from prefect_uv.store.layout import publish, shared_umask
from prefect_uv.store.lease import lease
from prefect_uv.store.lock import claimed
from prefect_uv.store.manifest import IN_USE, MANIFEST
from prefect_uv.store.shelf import Shelf
from prefect_uv.store.store import Store, full_disk_is_an_error
from prefect_uv.store.uv import QUIET, explain
from prefect_uv.store.verify import damages, installed, listed

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
        fields = [image.uv_minor, self.python or image.python, image.python_version, image.platform]
        for values in (self.requirements, self.texts, self.constraints):
            fields += [str(len(values)), *values]
        return digest(fields)


def isolated(store: Store, wanted: Wanted) -> Path:
    """The directory of the environment, from the volume or built into it, in use as long as this process lives.

    Raises:
        SyncError: uv could not build it.
        VolumeFullError: no space is left for it.
    """
    key = wanted.key(store.image)
    if path := _opened(store.shelf, key):
        return path
    with full_disk_is_an_error(store.shelf.area.root), shared_umask():
        home = store.writable()
        place = home.area.isolated / key
        with claimed(home.area.locks / key, place.exists, store.say(key)):
            path = _opened(home, key)
            if path is None:
                _Build(store, home, wanted).perform(place)
                path = _opened(home, key)
    if path is None:
        message = f"Environment {key[:12]} vanished after it was built."
        raise EnvironmentDamagedError(message, hint="Something else deletes below the cache directory: stop it.")
    return path


def _opened(shelf: Shelf, key: str) -> Path | None:
    """The environment, held in use, when it is there and somebody whom we trust has written it."""
    path = shelf.area.isolated / key
    if not path.is_dir() or not shelf.trusts(path):
        return None
    return path if lease(path, touch=not shelf.area.read_only) is not None else None


@dataclass(frozen=True)
class _Build:
    store: Store
    home: Shelf
    wanted: Wanted

    def perform(self, target: Path) -> None:
        names = [*self.wanted.requirements, *(str(file) for file in self.wanted.files)]
        self.store.log.info(f"building environment {target.name[:12]} for {', '.join(names)}")
        with aside(self.home.area, target.name) as place:
            environment = place / ENVIRONMENT
            self._install(place, environment)
            if bad := damages(environment):
                headline = "uv reported success, but the environment for a pull step is not whole."
                raise EnvironmentDamagedError(headline, listed(bad))
            (environment / IN_USE).touch(0o664)
            manifest = {"key": target.name, "created": time.time(), "for": names, "packages": installed(environment)}
            (environment / MANIFEST).write_text(json.dumps(manifest, indent=1))
            run(["sync", "-f", environment], env=self.store.settings.environ)
            publish(environment, target)

    def _install(self, place: Path, environment: Path) -> None:
        listed_, constraints = place / "requirements.in", place / "constraints.in"
        listed_.write_text("\n".join(self.wanted.requirements))
        constraints.write_text("\n".join(self.wanted.constraints))
        options = [option for file in (listed_, *self.wanted.files) for option in ("-r", str(file))]
        options += ["-c", str(constraints)] if self.wanted.constraints else []
        python = self.wanted.python or self.store.image.python
        self._uv("venv", "--no-project", "--relocatable", "--python", python, str(environment))
        self._uv("pip", "install", "--python", str(environment / "bin" / "python"), *options)

    def _uv(self, *arguments: str) -> None:
        environ = {name: value for name, value in self.store.settings.environ.items() if name != "VIRTUAL_ENV"}
        own = {"UV_CACHE_DIR": str(self.home.area.uv_cache), "UV_PYTHON_DOWNLOADS": "never"}
        finished = run(["uv", *QUIET, *arguments], env={**environ, **own})
        if finished.exit_code:
            error = explain(finished)
            raise type(error)("uv could not build the environment for a pull step.", error.found, HINT)
