"""uv as the store uses it: the variables on which correctness hangs are ours, all others the user's."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.environments.uv.pip_table import settings_options
from prefect_uv.environments.uv.uv_failures import explain_uv_failure, missing_offline
from prefect_uv.errors import PrefectUvError, UnresolvableError
from prefect_uv.image_facts import Image
from prefect_uv.processes.subprocesses import CompletedCommand, run_command
from prefect_uv.settings import Settings

QUIET = ("--no-progress", "--color", "never")
PREFERENCES = {"UV_PYTHON_PREFERENCE", "UV_MANAGED_PYTHON", "UV_NO_MANAGED_PYTHON"}
LIMIT_OPTIONS = {"UV_CONSTRAINT": "--constraints", "UV_OVERRIDE": "--overrides", "UV_EXCLUDE": "--excludes"}
ELSEWHERE = {"UV_PROJECT", "UV_WORKING_DIR", "UV_WORKING_DIRECTORY"}
OURS = ELSEWHERE | {
    "UV_FROZEN",
    "UV_LINK_MODE",
    "UV_LOCKED",
    "UV_NO_CACHE",
    "UV_NO_PROJECT",
    "UV_NO_SYNC",
    "UV_ONLY_INSTALL_LOCAL",
    "UV_ONLY_INSTALL_PROJECT",
    "UV_ONLY_INSTALL_WORKSPACE",
    "UV_PROJECT_ENVIRONMENT",
    "UV_SYSTEM_PYTHON",
    "UV_VENV_SEED",
    "VIRTUAL_ENV",
}
IGNORED = OURS | PREFERENCES | LIMIT_OPTIONS.keys()
NOWHERE = "/proc/nowhere"  # where even root cannot make what uv would find there next time


@dataclass(frozen=True)
class Uv:
    """uv in one area.

    Attributes:
        settings: the deployment's choices, with the user's variables.
        image: what the image has.
        area: where its cache and its interpreters are.
        trusted: the user ids whose interpreters there are used.
        configuration: the project's file that `uv pip` reads its settings from; other commands find it themselves.
    """

    settings: Settings
    image: Image
    cache: CacheDirectory
    trusted: Container[int] = ()
    configuration: Path | None = None

    @property
    def environ(self) -> dict[str, str]:
        """For every call. No interpreter is downloaded by the way, and none is reached through a link that can move."""
        kept = {name: value for name, value in self.settings.environ.items() if name not in IGNORED}
        own = {
            "UV_CACHE_DIR": str(self.cache.uv_cache),
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_PYTHON_INSTALL_DIR": NOWHERE,
        }
        return {**kept, **own, **({"UV_OFFLINE": "1"} if self.settings.offline else {})}

    @property
    def index(self) -> tuple[str, ...]:
        """Options that make uv take wheels from a directory instead of the indexes, where one is given."""
        wheels = self.settings.wheels
        return ("--no-index", "--find-links", str(wheels), "--only-binary", ":all:") if wheels else ()

    @property
    def only_wheels(self) -> tuple[str, ...]:
        """The same options where uv calls them otherwise: `uv export`."""
        wheels = self.settings.wheels
        return ("--no-index", "--find-links", str(wheels), "--no-build") if wheels else ()

    @property
    def limits(self) -> list[str]:
        """Options for the user's constraints where versions are chosen; uv 0.13.8 takes none where they are not."""
        found = ((option, self.settings.environ.get(name, "").split()) for name, option in LIMIT_OPTIONS.items())
        return [word for option, files in found for file in files for word in (option, file)]

    def venv(self, python: str, place: Path) -> None:
        """An empty environment that can be moved."""
        self.checked("venv", "--no-project", "--relocatable", "--python", python, place)

    def clean(self, names: Iterable[str]) -> None:
        """Throw packages out of uv's cache: a file cut short there is installed as it is (uv 0.13.8)."""
        self.checked("cache", "clean", "--force", *names)

    def install(self, place: Path, file: Path, link_mode: str) -> None:
        """Put what a file pins into an environment, and nothing else."""
        inside = ("--python", place / "bin" / "python", "--link-mode", link_mode)
        pinned = ("--no-deps", "--preview-features", "pylock", *self.index, "-r", str(file))
        self.checked("pip", "install", *inside, *pinned, cwd=place)

    def checked(
        self, *arguments: str | Path, cwd: Path | None = None, environ: Mapping[str, str] | None = None
    ) -> CompletedCommand:
        """A command that must succeed.

        Raises:
            PrefectUvError: the error of the catalogue that its failure stands for.
        """
        finished = self.run(*arguments, cwd=cwd, environ=environ)
        if finished.exit_code:
            raise self.explained(finished)
        return finished

    def explained(self, finished: CompletedCommand) -> PrefectUvError:
        """What a failure means: from a directory of wheels, no version that fits is a wheel that is not there."""
        error = explain_uv_failure(finished)
        return missing_offline(finished) if self.settings.wheels and isinstance(error, UnresolvableError) else error

    def run(
        self, *arguments: str | Path, cwd: Path | None = None, environ: Mapping[str, str] | None = None
    ) -> CompletedCommand:
        """A command with more variables."""
        with settings_options(self.configuration if arguments[0] == "pip" else None) as options:
            return run_command(["uv", *QUIET, *options, *arguments], env={**self.environ, **(environ or {})}, cwd=cwd)


@contextmanager
def stable_path(place: Path) -> Iterator[Path]:
    """A path to a place, the same for every place and in every container; the place's own where there can be none.

    uv keeps what it knows of an interpreter by the path that it is given (0.13.8, links are not resolved): where that
    is a new one each time, it starts the environment's interpreter and asks it.
    """
    path = _linked(place.absolute())
    try:
        yield path or place
    finally:
        if path:
            path.unlink(missing_ok=True)


def _linked(place: Path) -> Path | None:
    """Under the first number that is free: two may build in one container."""
    with suppress(OSError):
        for number in itertools.count():
            path = Path(tempfile.gettempdir(), f"prefect-uv-build-{number}")
            with suppress(FileExistsError):
                path.symlink_to(place)
                return path
    return None
