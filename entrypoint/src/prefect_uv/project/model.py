"""What a look at the pulled code can find."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from prefect_uv.project.files.inline_script import Script
from prefect_uv.project.lockfile.local_packages import LocalPackage
from prefect_uv.project.selection import Selection

SCRIPT_SHAPE = "script"


@dataclass(frozen=True, kw_only=True)
class Project:
    """What the flow's environment is made for.

    Attributes:
        name: for people and manifests.
        shape: in words, as `workspace member`.
        directory: where it is.
        root: where its lock or its first requirements file is.
        inputs: every file that can change what is installed, with its name relative to `root`.
        configuration: the one of them that uv reads its settings from.
        source_roots: the directories to import the project's own code and its local dependencies from.
        packages: the project and those dependencies of it that are directories, as its lock has them.
        python_request: what PREFECT_UV_PYTHON or .python-version asks for, or nothing.
        python_origin: which of the two.
        requires_python: the versions that the lock, the project or the script accepts, or nothing.
        selection: which of its dependencies are wanted.
        line: what was found, where and why, for people.
        places: the directory of the flow's file and those above it.
        warning: what was found and is not used although nothing else is; empty when there is nothing to say.
    """

    name: str
    shape: str
    directory: Path
    root: Path
    inputs: tuple[tuple[str, bytes], ...]
    source_roots: tuple[Path, ...]
    configuration: Path | None = None
    packages: tuple[LocalPackage, ...] = ()
    python_request: str = ""
    python_origin: str = ""
    requires_python: str = ""
    selection: Selection = field(default_factory=Selection)
    line: str = ""
    warning: str = ""
    places: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LockedProject(Project):
    """A project with a uv.lock, or a script with a lock beside it.

    Attributes:
        script: the script (PEP 723); nothing for a project.
    """

    script: Path | None = None

    @property
    def target(self) -> tuple[str, ...]:
        """What uv's commands are told to work on."""
        return ("--script", str(self.script)) if self.script else ("--project", str(self.directory))

    @property
    def lock(self) -> Path:
        """The lock file; with PREFECT_UV_LOCK=relock it may not exist yet."""
        return self.script.with_name(f"{self.script.name}.lock") if self.script else self.root / "uv.lock"


@dataclass(frozen=True, kw_only=True)
class UnlockedProject(Project):
    """Requirements that have to be resolved: of files, of a script without a lock, or Prefect alone.

    Attributes:
        requirements: lines of a requirements file.
        files: requirements files.
        constraints: versions that count where such a package is needed.
        script: the script (PEP 723); it has all that is required.
    """

    requirements: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    constraints: tuple[str, ...] = ()
    script: Script | None = None


@dataclass(frozen=True)
class ExtraPackages:
    """What one deployment wants beside its project's environment.

    Attributes:
        requirements: lines of a requirements file.
        files: requirements files.
        line: what was found where, for people.
    """

    requirements: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    line: str = ""

    def __bool__(self) -> bool:
        """Whether anything is wanted."""
        return bool(self.requirements or self.files)
