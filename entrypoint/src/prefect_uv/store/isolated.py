"""Environments that are made from requirements and not from a project.

They serve delegated pull steps, and requirements files beside the project's environment. Named by what was asked for,
built aside, verified, leased and collected like every other one, and never changed afterwards.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.errors import EnvironmentDamagedError
from prefect_uv.image import Image
from prefect_uv.process import run
from prefect_uv.store.build import ENVIRONMENT, aside
from prefect_uv.store.identity import digest, without_credentials
from prefect_uv.store.layout import publish, shared_umask
from prefect_uv.store.lease import lease
from prefect_uv.store.lock import claimed
from prefect_uv.store.manifest import IN_USE, Made
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
        prefect: the version of Prefect that is wanted too; nothing for none.
        files: requirements files.
        texts: their contents, with what they include: the environment's name depends on it.
        constraints: versions that must not change.
        python: the interpreter; the image's where none is named.
    """

    requirements: Sequence[str] = ()
    prefect: str = ""
    files: Sequence[Path] = ()
    texts: Sequence[str] = ()
    constraints: Sequence[str] = ()
    python: str = ""

    def key(self, image: Image) -> str:
        """The environment's name."""
        fields = [image.uv_minor, self.python or image.python, image.python_version, image.platform, self.prefect]
        for values in (self.requirements, self.texts, self.constraints):
            fields += [str(len(values)), *values]
        return digest(fields)


@dataclass(frozen=True)
class Isolated:
    """An environment that is made from requirements, held in use as long as anybody has `lease` open."""

    path: Path
    lease: int


def isolated(store: Store, wanted: Wanted) -> Isolated:
    """The environment, from the volume or built into it.

    Raises:
        SyncError: uv could not build it.
        VolumeFullError: no space is left for it.
    """
    key = wanted.key(store.image)
    if found := _opened(store.shelf, key):
        return found
    with full_disk_is_an_error(store.shelf.area.root), shared_umask():
        home = store.writable()
        place = home.area.isolated / key
        with claimed(home.area.locks / key, place.exists, store.say(key)):
            found = _opened(home, key)
            if found is None:
                _Build(store, home, wanted).perform(place)
                found = _opened(home, key)
    if found is None:
        message = f"Environment {key[:12]} vanished after it was built."
        raise EnvironmentDamagedError(message, hint="Something else deletes below the cache directory: stop it.")
    return found


def _opened(shelf: Shelf, key: str) -> Isolated | None:
    """The environment, held in use, when it is there and somebody whom we trust has written it."""
    path = shelf.area.isolated / key
    if not path.is_dir() or not shelf.trusts(path):
        return None
    descriptor = lease(path, touch=not shelf.area.read_only)
    return None if descriptor is None else Isolated(path, descriptor)


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
            purpose = [without_credentials(name) for name in names]
            python, packages = self.store.image.python_version, installed(environment)
            Made(target.name, time.time(), python, purpose, packages).write(environment)
            run(["sync", "-f", environment], env=self.store.settings.environ)
            publish(environment, target)

    def _install(self, place: Path, environment: Path) -> None:
        listed_, constraints = place / "requirements.in", place / "constraints.in"
        constraints.write_text("\n".join(self.wanted.constraints))
        options = [option for file in (listed_, *self.wanted.files) for option in ("-r", str(file))]
        options += ["-c", str(constraints)] if self.wanted.constraints else []
        python = self.wanted.python or self.store.image.python
        self._uv("venv", "--no-project", "--relocatable", "--python", python, str(environment))
        inside = ("--python", str(environment / "bin" / "python"))
        listed_.write_text("\n".join(self.wanted.requirements))
        if self.wanted.prefect:
            planned = self._uv("pip", "compile", "--no-header", "--no-annotate", *inside, str(listed_))
            listed_.write_text("\n".join([*self.wanted.requirements, self._prefect(planned)]))
        self._uv("pip", "install", *inside, *options)

    def _prefect(self, planned: str) -> str:
        """`prefect-client`, or all of Prefect where the requirements need that: the two have the same files."""
        needs_all = re.search(r"^prefect(\[.*\])?==", planned, re.MULTILINE)
        return f"{'prefect' if needs_all else 'prefect-client'}=={self.wanted.prefect}"

    def _uv(self, *arguments: str) -> str:
        environ = {name: value for name, value in self.store.settings.environ.items() if name != "VIRTUAL_ENV"}
        own = {"UV_CACHE_DIR": str(self.home.area.uv_cache), "UV_PYTHON_DOWNLOADS": "never"}
        finished = run(["uv", *QUIET, *arguments], env={**environ, **own})
        if finished.exit_code:
            error = explain(finished)
            raise type(error)("uv could not build the environment for a pull step.", error.found, HINT)
        return finished.stdout
