"""What a flow can import and call of its own project and of the local packages that it depends on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.cache_volume.cache_directory import is_executable
from prefect_uv.environments import Environment
from prefect_uv.errors import ProjectBuildError
from prefect_uv.git_access.clone import Clone
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
    """Directories for the flow's process and all that it starts.

    Attributes:
        import_path: directories to import from, after all others.
        script_directories: directories of console scripts, before the environment's.
    """

    import_path: tuple[Path, ...]
    script_directories: tuple[Path, ...] = ()


@dataclass(frozen=True)
class ProjectCode:
    """Makes a project's own code importable for one start.

    Attributes:
        settings: the deployment's settings.
        log: the run's log.
        scratch: makes an empty directory that is removed when the start ends.
        clones: what this start has cloned, and may ask for more.
    """

    settings: Settings
    log: RunLog
    scratch: Callable[[], Path]
    clones: tuple[Clone, ...] = ()

    def make_importable(self, project: Project, environment: Environment) -> FlowCode:
        """The sources and their metadata, or an installation of them.

        The image's installation is used if it is of the same code for the same environment. Otherwise the packages
        that cannot be imported from their sources are built, or with PREFECT_UV_INSTALL_PROJECT all of them. Everything
        that is made for this start is removed after it.

        Raises:
            ProjectBuildError: a package could not be built.
        """
        packages = _installable(project)
        to_build = packages if self.settings.install_project else self._not_importable(packages, project)
        if packages and (baked := self._find_baked(project, environment, to_build)):
            return _installed(project, packages, baked)
        if to_build:
            installation = self._build(to_build, project.root, environment)
            _warn_of_shadowed_modules(to_build, installation, self.log)
            others = [package for package in packages if package not in to_build]
            return _installed(project, to_build, installation, self._metadata_directories(others))
        if self.settings.install_project:
            self.log.info("PREFECT_UV_INSTALL_PROJECT has nothing to install: no package here has a build system")
        return FlowCode((*project.source_roots, *self._metadata_directories(packages)))

    def _not_importable(self, packages: Sequence[LocalPackage], project: Project) -> list[LocalPackage]:
        """The packages that have to be built; not the project if PREFECT_UV_SOURCE_ROOT names its directories."""
        chosen = project.directory if self.settings.source_root else None
        return [package for package in packages if package.directory != chosen and package.build_reason]

    def _find_baked(self, project: Project, environment: Environment, to_build: Sequence[LocalPackage]) -> Path | None:
        """The image's installation of this code for this environment; None if it has none, with what is done instead.

        Args:
            project: the project.
            environment: its environment.
            to_build: the packages to build then.
        """
        if not (self.settings.baked_dir / BAKED_CODE).is_dir():
            return None
        directory = baked_code_directory(self.settings.baked_dir, project, environment)
        if directory.is_dir():
            return directory
        action = "building and installing it again" if to_build else "importing the sources"
        self.log.info(f"the code in the image was installed from other sources or for another environment: {action}")
        return None

    def _build(self, packages: Sequence[LocalPackage], root: Path, environment: Environment) -> Path:
        """A new installation, in a directory from which programs and extension modules can be executed."""
        from prefect_uv.project_code.version_tags import fetch_tags  # noqa: PLC0415 (needed for builds only)

        fetch_tags(packages, self.clones, self.settings, self.log)
        hint = "Mount a writable /tmp that is not noexec, or set TMPDIR to such a directory."
        if not self.settings.install_project:
            for package in packages:
                self.log.info(f"{package.name} is built and installed for this run: {package.build_reason}")
        try:
            directory = self.scratch()
            install_packages(self.settings, self.log, environment, packages, root=root, target=directory)
        except OSError as error:
            raise ProjectBuildError("There is nowhere to build the project.", str(error), hint) from None
        if not is_executable(directory) and (self.settings.install_project or any(directory.rglob(COMPILED))):
            raise ProjectBuildError("The project cannot be installed.", f"{directory.parent} is mounted noexec.", hint)
        return directory

    def _metadata_directories(self, packages: Sequence[LocalPackage]) -> tuple[Path, ...]:
        """A directory with the metadata that needs no build; empty if there is none or nothing is writable."""
        static = [package for package in packages if is_static(package)]
        if dynamic := ", ".join(package.name for package in packages if package not in static):
            reason = "pyproject.toml states no version; PREFECT_UV_INSTALL_PROJECT=true builds and installs it"
            self.log.info(f"importlib.metadata will not find {dynamic}: {reason}")
        if not static:
            return ()
        try:
            directory = self.scratch()
            write_metadata(static, directory)
        except OSError as error:
            names = ", ".join(package.name for package in static)
            self.log.warning(f"importlib.metadata will not find {names}: {error}")
            return ()
        return (directory,)


def install_project(settings: Settings, log: RunLog, project: Project, environment: Environment, target: Path) -> None:
    """Build the project and its local packages, and install them for an environment into an empty directory.

    Raises:
        ProjectBuildError: a package could not be built.
    """
    install_packages(settings, log, environment, _installable(project), root=project.root, target=target)


def baked_code_directory(baked_dir: Path, project: Project, environment: Environment) -> Path:
    """Where an image has this code installed for this environment: the same code has the same name."""
    return baked_dir / BAKED_CODE / code_digest(_installable(project), environment.key)


def _installable(project: Project) -> list[LocalPackage]:
    return [package for package in project.local_packages if package.installable]


def _installed(
    project: Project, packages: Sequence[LocalPackage], installation: Path, metadata: Sequence[Path] = ()
) -> FlowCode:
    """The installation of packages, and the sources of what is not in it, with their metadata."""
    sources = {root for package in packages for root in package.source_roots}
    remaining = (root for root in project.source_roots if root not in sources)
    return FlowCode((installation, *remaining, *metadata), (installation / "bin",))


def _warn_of_shadowed_modules(packages: Sequence[LocalPackage], installation: Path, log: RunLog) -> None:
    """Warn of compiled packages whose sources a flow would import, because they lie in its working directory.

    The import path begins with the directory of the flow's file and the working directory.
    Prefect 3.8.8: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/utilities/importtools.py
    """
    compiled = {path.relative_to(installation).parts[0] for path in installation.rglob(COMPILED)}
    for directory in (package.directory for package in packages if package.directory in package.source_roots):
        if names := ", ".join(sorted(name for name in compiled if (directory / name).is_dir())):
            reason = "a flow with this working directory imports the sources, without the compiled modules"
            log.warning(f"{names} in {directory}: {reason}; a src layout avoids this")
