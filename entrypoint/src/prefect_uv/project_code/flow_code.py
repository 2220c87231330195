"""What a flow can import and call of its own project, and of the directories that it depends on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.cache_volume.cache_directory import is_executable
from prefect_uv.environments import Environment
from prefect_uv.errors import ProjectBuildError
from prefect_uv.log.run_log import RunLog
from prefect_uv.project import Project
from prefect_uv.project.lockfile.local_packages import LocalPackage
from prefect_uv.project_code.code_digest import code_digest
from prefect_uv.project_code.project_installation import install_packages
from prefect_uv.project_code.static_metadata import is_static, write_metadata
from prefect_uv.settings import Settings

BAKED_CODE = Path("code", "v1")
COMPILED = "*.so"


@dataclass(frozen=True)
class FlowCode:
    """Places for the flow's process and all that it starts.

    Attributes:
        import_path: directories to import from, before those of the user's PYTHONPATH.
        programs: directories of console scripts, before the environment's.
    """

    import_path: tuple[Path, ...]
    programs: tuple[Path, ...] = ()


@dataclass(frozen=True)
class ProjectCode:
    """Makes a project's own code importable for one start.

    Attributes:
        settings: the deployment's choices.
        log: where the reader learns what was done.
        scratch: makes an empty directory that is removed when the start ends.
    """

    settings: Settings
    log: RunLog
    scratch: Callable[[], Path]

    def importable(self, project: Project, environment: Environment) -> FlowCode:
        """The sources with metadata beside them; or, with PREFECT_UV_INSTALL_PROJECT, what a build makes of them.

        An installation in the image is used by every start with the same code. All else goes with this start.

        Raises:
            ProjectBuildError: a package could not be built.
        """
        packages = _installable(project)
        if packages and (baked := self._baked(project, environment)):
            return _installed(project, packages, baked)
        if self.settings.install_project and packages:
            place = self._built(project, environment)
            _warn_of_shadows(packages, place, self.log)
            return _installed(project, packages, place)
        if self.settings.install_project:
            self.log.info("PREFECT_UV_INSTALL_PROJECT: nothing to install, no package here has a build system")
        return FlowCode((*project.source_roots, *self._with_metadata(packages)))

    def _baked(self, project: Project, environment: Environment) -> Path | None:
        if not (self.settings.baked_dir / BAKED_CODE).is_dir():
            return None
        place = baked_place(self.settings, project, environment)
        if place.is_dir():
            return place
        instead = "built and installed anew" if self.settings.install_project else "imported from its sources"
        self.log.info(f"the code is not what the image has installed, or not for this environment: it is {instead}")
        return None

    def _built(self, project: Project, environment: Environment) -> Path:
        """A new installation, where programs and extension modules can be executed."""
        hint = "Mount a writable /tmp that is not noexec, or set TMPDIR to such a directory."
        try:
            place = self.scratch()
            install_project(self.settings, project, environment, place)
        except OSError as error:
            raise ProjectBuildError("There is no place to build the project in.", str(error), hint) from None
        if not is_executable(place):
            raise ProjectBuildError("The project cannot be installed.", f"{place.parent} is mounted noexec.", hint)
        return place

    def _with_metadata(self, packages: Sequence[LocalPackage]) -> tuple[Path, ...]:
        """A directory with metadata, where any is known and there is a place for it."""
        static = [package for package in packages if is_static(package)]
        if unknown := ", ".join(package.name for package in packages if package not in static):
            reason = "no version is written in pyproject.toml; PREFECT_UV_INSTALL_PROJECT=true builds and installs it"
            self.log.info(f"importlib.metadata does not know {unknown}: {reason}")
        if not static:
            return ()
        try:
            place = self.scratch()
            write_metadata(static, place)
        except OSError as error:
            self.log.warning(
                f"importlib.metadata does not know {', '.join(package.name for package in static)}: {error}"
            )
            return ()
        return (place,)


def install_project(settings: Settings, project: Project, environment: Environment, target: Path) -> None:
    """Build the project and its local dependencies, and install them for an environment into an empty directory.

    Raises:
        ProjectBuildError: a package could not be built.
    """
    install_packages(settings, environment, _installable(project), project.root, target)


def baked_place(settings: Settings, project: Project, environment: Environment) -> Path:
    """Where an image has this code installed for this environment: the same code gets the same name."""
    return settings.baked_dir / BAKED_CODE / code_digest(_installable(project), environment.key)


def _installable(project: Project) -> list[LocalPackage]:
    return [package for package in project.local_packages if package.installable]


def _installed(project: Project, packages: Sequence[LocalPackage], place: Path) -> FlowCode:
    """Installed packages are not imported from their sources."""
    sources = {root for package in packages for root in package.source_roots}
    return FlowCode((place, *(root for root in project.source_roots if root not in sources)), (place / "bin",))


def _warn_of_shadows(packages: Sequence[LocalPackage], place: Path, log: RunLog) -> None:
    """Prefect imports from the working directory first (`prefect/utilities/importtools.py`, 3.8.8)."""
    compiled = {path.relative_to(place).parts[0] for path in place.rglob(COMPILED)}
    for directory in (package.directory for package in packages if package.directory in package.source_roots):
        if names := ", ".join(sorted(name for name in compiled if (directory / name).is_dir())):
            reason = "a flow whose working directory this is imports the sources, without what was compiled"
            log.warning(f"{names} in {directory}: {reason}; a src layout avoids that")
