"""A real build and installation of local packages, fresh each time.

uv 0.13.8 takes the wheel of a directory from its cache when pyproject.toml is unchanged, whatever else was edited;
`uv build` does not. The build works on a copy, so that a read-only checkout will do, a shared one has no two builds in
it, and what setuptools once left in `build/` is not packed again.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.errors import ProjectBuildError
from prefect_uv.process import Finished, run
from prefect_uv.project.packages import LocalPackage
from prefect_uv.settings import Settings
from prefect_uv.store import Environment
from prefect_uv.store.uv import QUIET

GIT = ".git"
LEFT_OUT = {GIT, ".venv", "__pycache__"}
SETUPTOOLS_LEFTOVERS = ("lib", "bdist.", "temp.")
GIT_READS_ONLY = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
}
IGNORED = {"VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "UV_LINK_MODE", "UV_NO_CACHE", "UV_NO_SYNC", "UV_PYTHON"}
MISPLACED_PYTHON = """"$(dirname -- "$(realpath -- "$0")")"/'/"""
_HINTS = (
    (
        r"'\S*(cc|\+\+|clang)' failed: No such|No such file or directory: '\S*(cc|\+\+|clang)'|[Uu]nknown compiler",
        "The image has no compiler: build one FROM it with `apt-get install gcc libc6-dev python3-dev`.",
    ),
    (
        r"Network connectivity is disabled|not found in the (package registry|provided package locations)|No solution",
        "The build backend must be on the package index, in uv's cache on the volume, or in PREFECT_UV_WHEELS.",
    ),
    (r"", "Run `uv build --wheel` in the package's directory: what fails here fails there."),
)


@dataclass(frozen=True)
class Builder:
    """uv, building for one interpreter.

    Attributes:
        python: the environment's.
        environ: for uv.
        options: of uv, as the settings have them.
    """

    python: Path
    environ: Mapping[str, str]
    options: tuple[str | Path, ...] = ()

    @classmethod
    def of(cls, settings: Settings, environment: Environment) -> Builder:
        """For an environment; build backends come from uv's cache on the volume where that can be written."""
        kept = {name: value for name, value in settings.environ.items() if name not in IGNORED}
        cache = {"UV_CACHE_DIR": str(environment.uv_cache)} if environment.uv_cache else {"UV_NO_CACHE": "1"}
        wheels = ("--no-index", "--find-links", settings.wheels) if settings.wheels else ()
        options = (*wheels, *(("--offline",) if settings.offline else ()))
        return cls(environment.path / "bin" / "python", {**kept, **cache, **GIT_READS_ONLY}, options)

    def install(self, packages: Sequence[LocalPackage], root: Path, target: Path) -> None:
        """Build wheels of packages, and install them into a directory of their own.

        Args:
            packages: those that have something to build.
            root: of the workspace that they belong to.
            target: its modules are imported from there, its console scripts are in `bin`.

        Raises:
            ProjectBuildError: one of them could not be built.
        """
        with tempfile.TemporaryDirectory(prefix="prefect-uv-build-") as place:
            copies = Copies(Path(place) / "code", root)
            wheels = Path(place) / "wheels"
            for package in packages:
                self._build(package, copies, wheels)
            self._install(packages, sorted(wheels.glob("*.whl")), target)
        for script in (target / "bin").glob("*"):
            _mend(script)

    def _build(self, package: LocalPackage, copies: Copies, wheels: Path) -> None:
        try:
            directory = copies.of(package.directory)
        except OSError as error:
            raise ProjectBuildError(f"{package.name} could not be copied for its build.", str(error)) from None
        command = ["build", "--wheel", "--out-dir", wheels, "--python", self.python, *self.options]
        finished = self._uv(command, directory)
        if finished.exit_code:
            raise _explained(package.name, finished)

    def _install(self, packages: Iterable[LocalPackage], wheels: Iterable[Path], target: Path) -> None:
        """With a cache that goes: uv keeps what it unpacks of each wheel, and these are of this run alone."""
        command: list[str | Path] = ["pip", "install", "--no-cache", "--no-deps", "--no-index", "--target", target]
        finished = self._uv([*command, "--python", self.python, *wheels], target.parent)
        if finished.exit_code:
            raise _explained(", ".join(package.name for package in packages), finished)

    def _uv(self, arguments: Iterable[str | Path], directory: Path) -> Finished:
        return run(["uv", *QUIET, *arguments], env=self.environ, cwd=directory)


@dataclass(frozen=True)
class Copies:
    """Copies of checkouts, each made once; git finds their history where it is.

    Attributes:
        place: where they are made.
        root: of the workspace: what is below it and in no checkout is copied with it.
    """

    place: Path
    root: Path

    def of(self, directory: Path) -> Path:
        """The copy of a directory, within a copy of all that its build may look at."""
        top = self._top(directory)
        copy = self.place / str(top).strip("/").replace("/", "-")
        if not copy.exists():
            shutil.copytree(top, copy, symlinks=True, ignore=_left_out)
            _refer(top / GIT, copy / GIT)
        return copy / directory.relative_to(top)

    def _top(self, directory: Path) -> Path:
        checkout = next((place for place in (directory, *directory.parents) if (place / GIT).exists()), None)
        return checkout or (self.root if directory.is_relative_to(self.root) else directory)


def _left_out(directory: str, names: list[str]) -> set[str]:
    """Not what is derived from other files: a build that finds its own leftovers may pack what was deleted since."""
    left = LEFT_OUT & set(names)
    return left | ({"build"} if "build" in names and _is_leftover(Path(directory) / "build") else set())


def _is_leftover(build: Path) -> bool:
    return build.is_dir() and any(entry.name.startswith(SETUPTOOLS_LEFTOVERS) for entry in build.iterdir())


def _refer(git: Path, copy: Path) -> None:
    """A `.git` file that leads to the repository (gitrepository-layout), for versions that are made from tags."""
    if git.is_dir():
        copy.write_text(f"gitdir: {git}\n")
    elif git.exists():
        target = git.read_text().removeprefix("gitdir:").strip()
        copy.write_text(f"gitdir: {(git.parent / target).resolve()}\n")


def _mend(script: Path) -> None:
    """For a relocatable environment, uv 0.13.8 writes its Python's absolute path behind the script's own directory."""
    content = script.read_bytes()
    script.write_bytes(content.replace(MISPLACED_PYTHON.encode(), b"'/", 1))


def _explained(name: str, finished: Finished) -> ProjectBuildError:
    hint = next(hint for pattern, hint in _HINTS if re.search(pattern, finished.stderr))
    return ProjectBuildError(f"{name} could not be built and installed.", finished.report, hint)
