"""What the searched directories have to install from: the nearest of each kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from prefect_uv.project.discovery.flow_location import FlowLocation, directories_upwards
from prefect_uv.project.discovery.locked_project import LOCK
from prefect_uv.project.discovery.pylock_project import pylock_files
from prefect_uv.project.files.declared_dependencies import Declaration
from prefect_uv.project.files.pyproject import Pyproject
from prefect_uv.project.files.requirements_files import REQUIREMENTS_TXT
from prefect_uv.project.files.uv_workspace import workspace_root
from prefect_uv.project.lockfile.pylock_text import PYLOCK


@dataclass(frozen=True)
class Candidates:
    """The nearest of each kind; None if there is none.

    Attributes:
        location: where the flow is.
        directories: what was searched, the nearest first.
        pyproject: the nearest project, else the nearest workspace root.
        pylocks: the files of the nearest directory with any pylock.toml, that of this name first.
        requirements: the nearest requirements.txt.
    """

    location: FlowLocation
    directories: Sequence[Path]
    pyproject: Pyproject | None
    pylocks: Sequence[Path]
    requirements: Path | None

    @classmethod
    def search(cls, location: FlowLocation, directories: Sequence[Path]) -> Candidates:
        """Search directories, the nearest first."""
        pylocks = next(filter(None, map(pylock_files, directories)), [])
        files = (directory / REQUIREMENTS_TXT for directory in directories)
        requirements = next(filter(Path.is_file, files), None)
        return cls(location, directories, nearest_pyproject(directories), pylocks, requirements)

    @property
    def lock(self) -> Path | None:
        """The uv.lock of the project, which is in the root of its workspace."""
        lock = lockfile(self.location, self.pyproject) if self.pyproject else None
        return lock if lock and lock.is_file() else None

    @property
    def pylock(self) -> Path | None:
        """The pylock.toml to use: one of several with other names has to be chosen by hand.

        One above a project is not the project's; one below a project with a uv.lock is nearer.
        """
        if not self.pylocks or (len(self.pylocks) > 1 and self.pylocks[0].name != PYLOCK):
            return None
        directory, project = self.pylocks[0].parent, self.pyproject.directory if self.pyproject else None
        below = project is None or directory.is_relative_to(project)
        return self.pylocks[0] if below and not (self.lock and directory == project) else None

    @cached_property
    def declaration(self) -> Declaration | None:
        """The nearest declaration of dependencies, for uv or for another tool."""
        return next(filter(None, map(Declaration.of, self.directories)), None)

    @property
    def choice(self) -> str:
        """How to use the nearest lockfile, or else the requirements, instead of a script."""
        directory = self.requirements.parent if self.requirements else self.location.working_directory
        if self.pylocks:
            directory = self.pylocks[0].parent
        if self.pyproject and self.lock and not self.pylock:
            directory = self.pyproject.directory
        return f"PREFECT_UV_PROJECT={self.location.display_path(directory)} uses the project instead"

    def without(self, used: Path | None = None) -> dict[str, Path]:
        """What is there although something else is used: paths by their names in messages.

        They are locks, requirements files, and a declaration for another tool that is nearer than the used file.
        """
        found = [*filter(None, (self.lock, *self.pylocks, self.requirements))]
        declared = self.declaration
        if used and declared and declared.reader and used.parent in declared.file.parent.parents:
            found.append(declared.file)
        return {self.location.display_path(path): path for path in found if path != used}


def nearest_pyproject(directories: Sequence[Path]) -> Pyproject | None:
    """The nearest project, else the nearest workspace root, else None; a file with tool settings only is neither."""
    documents = [*filter(None, map(Pyproject.read, directories))]
    projects = [document for document in documents if document.is_project]
    return next(iter([*projects, *(document for document in documents if document.is_workspace)]), None)


def lockfile(location: FlowLocation, project: Pyproject) -> Path:
    """Where the project's uv.lock has to be."""
    above = directories_upwards(project.directory, location.working_directory)[1:]
    return workspace_root(project, above).directory / LOCK
