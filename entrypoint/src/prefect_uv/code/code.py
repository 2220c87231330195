"""What a flow can import and call of its own project, and of the directories that it depends on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.code.build import install
from prefect_uv.code.digest import digest
from prefect_uv.code.metadata import describe, is_static
from prefect_uv.errors import ProjectBuildError
from prefect_uv.project import Project
from prefect_uv.project.packages import LocalPackage
from prefect_uv.runlog import RunLog
from prefect_uv.session import Session
from prefect_uv.settings import Settings
from prefect_uv.store import Environment
from prefect_uv.volume.layout import is_executable

BAKED = Path("code", "v1")
COMPILED = "*.so"


@dataclass(frozen=True)
class Code:
    """Places for the flow's process and all that it starts.

    Attributes:
        import_path: directories to import from, before those of the user's PYTHONPATH.
        programs: directories of console scripts, before the environment's.
    """

    import_path: tuple[Path, ...]
    programs: tuple[Path, ...] = ()


def importable(session: Session, project: Project, environment: Environment) -> Code:
    """The sources with metadata beside them; or, with PREFECT_UV_INSTALL_PROJECT, what a build makes of them.

    An installation in the image is used by every start with the same code. All else goes with this start.

    Raises:
        ProjectBuildError: a package could not be built.
    """
    settings, packages = session.settings, _installable(project)
    if packages and (baked := _baked(settings, project, environment, session.log)):
        return _installed(project, packages, baked)
    if settings.install_project and packages:
        place = _built(session, project, environment)
        _warn_of_shadows(packages, place, session.log)
        return _installed(project, packages, place)
    if settings.install_project:
        session.log.info("PREFECT_UV_INSTALL_PROJECT: nothing to install, no package here has a build system")
    return Code((*project.source_roots, *_described(packages, session)))


def install_project(settings: Settings, project: Project, environment: Environment, target: Path) -> None:
    """Build the project and its local dependencies, and install them for an environment into an empty directory.

    Raises:
        ProjectBuildError: a package could not be built.
    """
    install(settings, environment, _installable(project), project.root, target)


def baked_place(settings: Settings, project: Project, environment: Environment) -> Path:
    """Where an image has this code installed for this environment: the same code gets the same name."""
    return settings.baked_dir / BAKED / digest(_installable(project), environment.key)


def _installable(project: Project) -> list[LocalPackage]:
    return [package for package in project.packages if package.installable]


def _baked(settings: Settings, project: Project, environment: Environment, log: RunLog) -> Path | None:
    if not (settings.baked_dir / BAKED).is_dir():
        return None
    place = baked_place(settings, project, environment)
    if place.is_dir():
        return place
    instead = "built and installed anew" if settings.install_project else "imported from its sources"
    log.info(f"the code is not what the image has installed, or not for this environment: it is {instead}")
    return None


def _installed(project: Project, packages: Sequence[LocalPackage], place: Path) -> Code:
    """Installed packages are not imported from their sources."""
    sources = {root for package in packages for root in package.source_roots}
    return Code((place, *(root for root in project.source_roots if root not in sources)), (place / "bin",))


def _built(session: Session, project: Project, environment: Environment) -> Path:
    """A new installation, where programs and extension modules can be executed."""
    hint = "Mount a writable /tmp that is not noexec, or set TMPDIR to such a directory."
    try:
        place = session.scratch()
        install_project(session.settings, project, environment, place)
    except OSError as error:
        raise ProjectBuildError("There is no place to build the project in.", str(error), hint) from None
    if not is_executable(place):
        raise ProjectBuildError("The project cannot be installed.", f"{place.parent} is mounted noexec.", hint)
    return place


def _described(packages: Sequence[LocalPackage], session: Session) -> tuple[Path, ...]:
    """A directory with metadata, where any is known and there is a place for it."""
    static = [package for package in packages if is_static(package)]
    if unknown := ", ".join(package.name for package in packages if package not in static):
        reason = "no version is written in pyproject.toml; PREFECT_UV_INSTALL_PROJECT=true builds and installs it"
        session.log.info(f"importlib.metadata does not know {unknown}: {reason}")
    if not static:
        return ()
    try:
        place = session.scratch()
        describe(static, place)
    except OSError as error:
        session.log.warning(
            f"importlib.metadata does not know {', '.join(package.name for package in static)}: {error}"
        )
        return ()
    return (place,)


def _warn_of_shadows(packages: Sequence[LocalPackage], place: Path, log: RunLog) -> None:
    """Prefect imports from the working directory first (`prefect/utilities/importtools.py`, 3.8.8)."""
    compiled = {path.relative_to(place).parts[0] for path in place.rglob(COMPILED)}
    for directory in (package.directory for package in packages if package.directory in package.source_roots):
        if names := ", ".join(sorted(name for name in compiled if (directory / name).is_dir())):
            reason = "a flow whose working directory this is imports the sources, without what was compiled"
            log.warning(f"{names} in {directory}: {reason}; a src layout avoids that")
