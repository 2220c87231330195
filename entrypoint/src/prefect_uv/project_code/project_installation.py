"""A real build and installation of local packages, fresh each time.

uv 0.13.8 takes the wheel of a directory from its cache when pyproject.toml is unchanged, whatever else was edited;
`uv build` does not. The build works on a copy, so that a read-only checkout will do, a shared one has no two builds in
it, and what setuptools once left in `build/` is not packed again.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.environments import Environment
from prefect_uv.environments.uv.uv_command import Uv
from prefect_uv.errors import ProjectBuildError
from prefect_uv.image_facts import Image
from prefect_uv.processes.subprocesses import CompletedCommand
from prefect_uv.project.lockfile.local_packages import LocalPackage
from prefect_uv.project_code.build_copies import BuildCopies
from prefect_uv.settings import Settings

GIT_READS_ONLY = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
}
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


def install_packages(
    settings: Settings, environment: Environment, packages: Iterable[LocalPackage], root: Path, target: Path
) -> None:
    """Build wheels of packages, and install them into a directory of their own.

    Args:
        settings: the deployment's.
        environment: whose Python it is for; build backends come from the uv cache beside it where that can be written.
        packages: those that have something to build.
        root: of the workspace that they belong to.
        target: its modules are imported from there, its console scripts are in `bin`.

    Raises:
        ProjectBuildError: one of them could not be built.
    """
    with tempfile.TemporaryDirectory(prefix="prefect-uv-build-") as place:
        uv_cache = environment.uv_cache or Path(place) / "uv"
        uv = Uv(settings, Image.read(), CacheDirectory(uv_cache.parent, uv_cache))
        builder = WheelBuilder(uv, environment.path / "bin" / "python", BuildCopies(Path(place) / "code", root))
        for package in packages:
            builder.build(package, Path(place) / "wheels")
        builder.install(sorted(Path(place).glob("wheels/*.whl")), target.resolve())


@dataclass(frozen=True)
class WheelBuilder:
    """uv, building for one interpreter from copies."""

    uv: Uv
    python: Path
    copies: BuildCopies

    def build(self, package: LocalPackage, wheels: Path) -> None:
        """Add a package's wheel to a directory."""
        try:
            directory = self.copies.of(package.directory)
        except OSError as error:
            raise ProjectBuildError(f"{package.name} could not be copied for its build.", str(error)) from None
        source = self.uv.settings.wheels
        index = ("--no-index", "--find-links", source) if source else ()
        wanted = ("--wheel", "--out-dir", wheels, "--python", self.python, *index)
        _require_success(
            self.uv.run("build", *wanted, cwd=directory, environ=GIT_READS_ONLY), f"{package.name} could not be built."
        )

    def install(self, wheels: Iterable[Path], target: Path) -> None:
        """With a cache that goes: uv keeps what it unpacks of each wheel, and these are of this run alone."""
        alone = ("--no-cache", "--no-deps", "--no-index", "--target", target, "--python", self.python)
        _require_success(
            self.uv.run("pip", "install", *alone, *wheels, cwd=target), "What was built could not be installed."
        )


def _require_success(finished: CompletedCommand, headline: str) -> None:
    if finished.exit_code:
        hint = next(hint for pattern, hint in _HINTS if re.search(pattern, finished.stderr))
        raise ProjectBuildError(headline, finished.report, hint)
