"""Build and install local packages, again for each run.

uv takes the wheel of a directory from its cache unless pyproject.toml, setup.py or setup.cfg has changed, or a `src`
directory has come or gone (uv 0.13.8: https://docs.astral.sh/uv/concepts/cache/#dynamic-metadata). `uv build` does not
(uv 0.13.8, observed; covered by tests/unit/project_code/test_importable_code.py::test_installed_again_after_an_edit).

The build works on a copy: a read-only checkout suffices, no two builds write to a shared one, and what setuptools left
in `build/` is not packed again (https://github.com/pypa/setuptools/issues/1871).
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.cache_volume.full_disk import is_disk_full, says_disk_full
from prefect_uv.environments import Environment
from prefect_uv.environments.uv.uv_command import Uv, remove_uv_lock
from prefect_uv.errors import ProjectBuildError
from prefect_uv.image_facts import Image
from prefect_uv.log.run_log import RunLog
from prefect_uv.processes.subprocesses import CompletedCommand
from prefect_uv.project.lockfile.local_packages import LocalPackage
from prefect_uv.project_code.build_copies import BuildCopies
from prefect_uv.settings import Settings

# git 2.47: https://git-scm.com/docs/git#_environment_variables
GIT_READS_ONLY = {"GIT_OPTIONAL_LOCKS": "0"}
_HINTS = (
    (
        r"Network connectivity is disabled|not found in the (package registry|provided package locations)|No solution",
        "Provide the build backend on the package index, in uv's cache on the volume, or in PREFECT_UV_WHEELS.",
    ),
    (r"", "Run `uv build --wheel` in the package's directory to see the same failure."),
)


def install_packages(  # noqa: PLR0913 (what to install, for what, and where)
    settings: Settings,
    log: RunLog,
    environment: Environment,
    packages: Iterable[LocalPackage],
    *,
    root: Path,
    target: Path,
) -> None:
    """Build wheels of packages, and install them into a directory.

    Args:
        settings: the deployment's settings.
        log: the run's log.
        environment: the environment whose Python the packages are built for; its uv cache, if writable, is used.
        packages: packages that have a build system.
        root: the root of the workspace that they belong to.
        target: an empty directory, for the modules and in `bin` the console scripts.

    Raises:
        ProjectBuildError: a package could not be built.
    """
    with tempfile.TemporaryDirectory(prefix="prefect-uv-build-") as temporary:
        build_directory = Path(temporary)
        uv_cache = environment.uv_cache or build_directory / "uv"
        uv = Uv(settings, Image.read(), CacheDirectory(uv_cache.parent, frozenset(), uv_cache), log)
        builder = WheelBuilder(uv, environment.path / "bin" / "python", BuildCopies(build_directory / "code", root))
        for package in packages:
            builder.build(package, build_directory / "wheels")
        builder.install(sorted(build_directory.glob("wheels/*.whl")), target.resolve())


@dataclass(frozen=True)
class WheelBuilder:
    """Builds wheels from copies, and installs them, with uv and for one interpreter."""

    uv: Uv
    python: Path
    copies: BuildCopies

    def build(self, package: LocalPackage, wheels: Path) -> None:
        """Build a package's wheel into a directory."""
        try:
            directory = self.copies.copy_of(package.directory)
        except OSError as error:
            if is_disk_full(error):
                raise
            raise ProjectBuildError(
                f"The code of {package.name} could not be copied to be built.", str(error)
            ) from None
        wheel_source = self.uv.settings.wheels
        index = ("--no-index", "--find-links", wheel_source) if wheel_source else ()
        options = ("--wheel", "--out-dir", wheels, "--python", self.python, *index)
        completed = self.uv.run("build", *options, cwd=directory, environ=GIT_READS_ONLY)
        self._require_success(completed, f"{package.name} could not be built.")

    def install(self, wheels: Iterable[Path], target: Path) -> None:
        """Install wheels without uv's cache, which would keep the contents of each although no other run uses them."""
        options = ("--no-cache", "--no-deps", "--no-index", "--target", target, "--python", self.python)
        completed = self.uv.run("pip", "install", *options, *wheels, cwd=target)
        remove_uv_lock(target)
        self._require_success(completed, "The wheels that were built could not be installed.")

    def _require_success(self, completed: CompletedCommand, headline: str) -> None:
        if not completed.exit_code:
            return
        if says_disk_full(completed.stderr):
            raise self.uv.explain(completed)
        from prefect_uv.environments.uv.debian_packages import missing_tool  # noqa: PLC0415 (few builds fail)

        if tool := missing_tool(completed.stderr):
            raise ProjectBuildError(f"{headline[:-1]}: {tool.name} is missing.", completed.report, f"{tool.remedy}.")
        hint = next(hint for pattern, hint in _HINTS if re.search(pattern, completed.stderr))
        raise ProjectBuildError(headline, completed.report, hint + self.uv.withheld_hint)
