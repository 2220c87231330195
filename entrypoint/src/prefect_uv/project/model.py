"""What `find_project` and `find_extra_packages` return."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from prefect_uv.project.files.inline_script import Script
from prefect_uv.project.lockfile.local_packages import LocalPackage
from prefect_uv.project.selection import Selection

SCRIPT_SHAPE = "script"


@dataclass(frozen=True, kw_only=True)
class Project:
    """What the flow's environment is built from.

    Attributes:
        name: for the log and for manifests.
        shape: what kind of project it is, in words, such as `workspace member`.
        directory: the directory of the project, script or requirements files.
        root: the directory of the lockfile or of the first requirements file.
        inputs: name and content of every file that can change what is installed; names are relative to `root`.
        uv_configuration: the input that uv reads its settings from, or None.
        source_roots: the directories to import the project's own code and its local packages from.
        local_packages: the dependencies that are directories; of a locked project, the project itself as well.
        python_request: what PREFECT_UV_PYTHON or .python-version asks for; empty if neither asks for anything.
        python_origin: which of the two asks, by name.
        requires_python: the versions that the lock, the project or the script accepts; empty if it accepts every one.
        selection: the groups, extras and workspace member to install.
        summary: what was found, where, and why, for the log.
        not_used: what was found too and is not installed: paths by the names that messages show.
        choice: how to use that instead; empty if it goes without saying.
        ignored_files_warning: names files of other tools if there is nothing else to install from; otherwise empty.
        search_directories: the directory of the flow's file, and those above it.
    """

    name: str
    shape: str
    directory: Path
    root: Path
    inputs: tuple[tuple[str, bytes], ...]
    source_roots: tuple[Path, ...]
    uv_configuration: Path | None = None
    local_packages: tuple[LocalPackage, ...] = ()
    python_request: str = ""
    python_origin: str = ""
    requires_python: str = ""
    selection: Selection = field(default_factory=Selection)
    summary: str = ""
    not_used: Mapping[str, Path] = field(default_factory=dict)
    choice: str = ""
    ignored_files_warning: str = ""
    search_directories: tuple[Path, ...] = ()

    def describe(self, installed: Collection[Path] = ()) -> str:
        """The line for the log: what was found, and what is not used although it is there.

        Args:
            installed: files that are installed all the same, because pull steps ask for them.
        """
        names = [name for name, path in self.not_used.items() if path not in installed]
        if not names:
            return self.summary
        choice = f" ({self.choice})" if self.choice else ""
        return f"{self.summary}; {', '.join(names)} {'is' if len(names) == 1 else 'are'} not used{choice}"


@dataclass(frozen=True, kw_only=True)
class LockedProject(Project):
    """A project with a uv.lock, or a script with its own lockfile.

    Attributes:
        script: the script (PEP 723); None for a project.
    """

    script: Path | None = None

    @property
    def target(self) -> tuple[str, ...]:
        """The options that tell uv what to work on."""
        return ("--script", str(self.script)) if self.script else ("--project", str(self.directory))

    @property
    def lock(self) -> Path:
        """The lockfile; with PREFECT_UV_LOCK=relock it may not exist yet."""
        return self.script.with_name(f"{self.script.name}.lock") if self.script else self.root / "uv.lock"


@dataclass(frozen=True, kw_only=True)
class PylockProject(Project):
    """The packages of a pylock.toml (PEP 751).

    Attributes:
        lock: the file, which may have another name.
        default_groups: the dependency groups that are installed unless others are chosen.
    """

    lock: Path
    default_groups: tuple[str, ...] = ()

    @property
    def options(self) -> tuple[str, ...]:
        """Options of `uv pip install` for the selection: `groups` are added to the default ones, which uv replaces."""
        added = (*self.default_groups, *self.selection.groups) if self.selection.groups else ()
        groups = [("--group", name) for name in self.selection.only_groups or added]
        extras = [("--extra", name) for name in self.selection.extras]
        return tuple(word for pair in sorted({*groups, *extras}) for word in pair)


@dataclass(frozen=True, kw_only=True)
class UnlockedProject(Project):
    """Requirements that uv has to resolve: those of files, those of a script without a lockfile, or Prefect alone.

    Attributes:
        requirements: lines of a requirements file.
        files: requirements files.
        names: the packages that the requirements files name, normalized.
        constraints: lines that limit the versions of packages, without requiring them.
        script: the script (PEP 723), which contains all its requirements; None for requirements files.
    """

    requirements: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    names: frozenset[str] = frozenset()
    constraints: tuple[str, ...] = ()
    script: Script | None = None


@dataclass(frozen=True)
class ExtraPackages:
    """What one deployment installs in addition to its project's environment.

    Attributes:
        requirements: lines of a requirements file.
        files: requirements files.
        summary: what was found where, for the log; empty if there are no extra packages.
    """

    requirements: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    summary: str = ""

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.requirements or self.files)
