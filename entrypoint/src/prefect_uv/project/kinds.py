"""What a look at the pulled code can find."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from prefect_uv.project.packages import LocalPackage
from prefect_uv.selection import Selection


@dataclass(frozen=True, kw_only=True)
class Project:
    """What the flow's environment is made for.

    Attributes:
        name: for people and manifests.
        shape: in words, as `workspace member`.
        directory: where it is.
        root: where its lock or its first requirements file is.
        inputs: every file that can change what is installed, with its name relative to `root`.
        source_roots: the directories to import the project's own code and its local dependencies from.
        packages: the project and those dependencies of it that are directories, as its lock has them.
        python_request: what PREFECT_UV_PYTHON, .python-version or requires-python asks for, or nothing.
        selection: which of its dependencies are wanted.
    """

    name: str
    shape: str
    directory: Path
    root: Path
    inputs: tuple[tuple[str, bytes], ...]
    source_roots: tuple[Path, ...]
    packages: tuple[LocalPackage, ...] = ()
    python_request: str = ""
    selection: Selection = field(default_factory=Selection)


@dataclass(frozen=True, kw_only=True)
class Locked(Project):
    """A project with a uv.lock, or a script with a lock beside it.

    Attributes:
        script: the script (PEP 723); nothing for a project.
    """

    script: Path | None = None

    @property
    def target(self) -> tuple[str, ...]:
        """What uv's commands are told to work on."""
        return ("--script", str(self.script)) if self.script else ("--project", str(self.directory))


@dataclass(frozen=True, kw_only=True)
class Unlocked(Project):
    """Requirements that have to be resolved: of files, of a script without a lock, or Prefect alone.

    Attributes:
        requirements: lines of a requirements file.
        files: requirements files, or a script.
    """

    requirements: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Extras:
    """What one deployment wants beside its project's environment.

    Attributes:
        requirements: lines of a requirements file.
        files: requirements files.
    """

    requirements: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything is wanted."""
        return bool(self.requirements or self.files)
