"""Requirements files: what they include, whether they name Prefect, and which local paths they install."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.errors import RequirementsMissingError
from prefect_uv.package_names import has_prefect
from prefect_uv.project.files.input_files import InputFiles, read_inputs
from prefect_uv.project.files.local_paths import read_local_paths, require_path, with_path_dependencies
from prefect_uv.project.files.path_patterns import paths_matching
from prefect_uv.project.files.requirement_lines import Include, Requirement, parse_statements, with_variables
from prefect_uv.project.files.text_files import decode_text
from prefect_uv.urls import USERINFO

REQUIREMENTS_TXT = "requirements.txt"
PACKAGE_LIST = "The list of extra packages"
# uv 0.13.8 reads these as scripts and projects. https://docs.astral.sh/uv/pip/compile/#locking-requirements
OTHER_FORMATS = {".py", ".toml", ".cfg"}


@dataclass(frozen=True)
class Requirements:
    """Lines and files of requirements, with everything that they include.

    Attributes:
        directory: where uv works. Paths of packages are relative to it, paths of files to the file that includes them.
        lines: the given lines of a requirements file.
        files: the given files.
        all_files: every file that is read.
        requirements: what they require; constraints are left out.
        expanded_texts: the texts that contain variables, with these replaced and without credentials.
        local_paths: the directories and archives that they or their constraints name, and what these depend on.
    """

    directory: Path
    lines: Sequence[str]
    files: tuple[Path, ...]
    all_files: tuple[Path, ...]
    requirements: tuple[Requirement, ...]
    expanded_texts: tuple[str, ...]
    local_paths: tuple[Path, ...]

    @classmethod
    def read(
        cls, directory: Path, files: Iterable[Path], environ: Mapping[str, str], lines: Sequence[str] = ()
    ) -> Requirements:
        """Read lines and files, and what they include.

        Raises:
            RequirementsMissingError: an included file does not exist.
            LocalDependencyMissingError: a directory or an archive to install does not exist.
            ProjectInvalidError: a file is not text.
        """
        given = tuple(files)
        reader = _Reader(directory, environ, {}, [], [], {})
        reader.read_text("\n".join(lines), None, constraint=False)
        for file in given:
            reader.read_file(file, constraint=False)
        all_files = tuple(dict.fromkeys(file for file, _ in reader.seen))
        requirements, texts = tuple(reader.requirements), tuple(reader.expanded_texts)
        local_paths = with_path_dependencies(reader.local_paths)
        return cls(directory, lines, given, all_files, requirements, texts, local_paths)

    @property
    def has_prefect(self) -> bool:
        """Whether they name Prefect."""
        return has_prefect({requirement.name for requirement in self.requirements if requirement.named})

    @property
    def hashed(self) -> bool:
        """Whether any of them has a hash, as in the output of `uv pip compile --generate-hashes`."""
        return any(requirement.hashes for requirement in self.requirements)

    @property
    def pinned(self) -> set[str]:
        """The names for which only one version, file or commit is accepted."""
        return {requirement.name for requirement in self.requirements if requirement.exact}

    @property
    def inputs(self) -> InputFiles:
        """Everything that can change what is installed: the files, the values of variables, and the local paths.

        A file that is included from an address is not read: uv reads it when it resolves, as it looks up versions that
        nothing pins.
        """
        texts = (("with variables", text.encode()) for text in self.expanded_texts)
        return (
            *read_inputs(self.directory, self.all_files),
            *texts,
            *read_local_paths(self.directory, self.local_paths),
        )


@dataclass(frozen=True)
class _Reader:
    directory: Path
    environ: Mapping[str, str]
    seen: dict[tuple[Path, bool], None]
    requirements: list[Requirement]
    expanded_texts: list[str]
    local_paths: dict[Path, None]

    def read_file(self, file: Path, *, constraint: bool) -> None:
        """Read a file, once as requirements and once as constraints. The other formats are left to uv."""
        if (file, constraint) in self.seen:
            return
        self.seen[file, constraint] = None
        if file.suffix not in OTHER_FORMATS:
            self.read_text(decode_text(file, file.read_bytes()), file, constraint=constraint)

    def read_text(self, text: str, file: Path | None, *, constraint: bool) -> None:
        """Read the text of a file; `file` is None for the given lines."""
        if (expanded := with_variables(text, self.environ)) != text:
            self.expanded_texts.append(USERINFO.sub("", expanded))
        for statement in parse_statements(text, self.environ):
            if isinstance(statement, Requirement):
                self._require(statement, file, constraint=constraint)
            elif statement.path:
                self._include(statement, file, constraint=constraint or statement.is_constraint)

    def _require(self, requirement: Requirement, file: Path | None, *, constraint: bool) -> None:
        if not constraint:
            self.requirements.append(requirement)
        if not requirement.path:
            return
        path = self.directory / requirement.path
        if not constraint:
            path = require_path(path, file or PACKAGE_LIST, requirement.version_or_address)
        self.local_paths[path] = None

    def _include(self, include: Include, file: Path | None, *, constraint: bool) -> None:
        included = ((file.parent if file else self.directory) / include.path).resolve()
        if not included.is_file():
            raise RequirementsMissingError(
                f"{file or PACKAGE_LIST} includes {include.written}, which does not exist.",
                f"There is no file {included}.",
                "Push it, or remove the line.",
            )
        self.read_file(included, constraint=constraint)


def expand_patterns(directory: Path, patterns: Iterable[str], variable: str) -> tuple[Path, ...]:
    """The files that match the patterns of a job variable, in the order of the patterns, then sorted by name.

    Raises:
        RequirementsMissingError: a pattern matches no file.
    """
    matched: dict[Path, None] = {}
    for pattern in patterns:
        files = [path for path in paths_matching(directory, pattern) if path.is_file()]
        if not files:
            raise RequirementsMissingError(
                f"{variable} names {pattern}, but {directory} has no such file.",
                f"It has {', '.join(_similar_files(directory)) or 'no requirements files'}.",
                "Correct the job variable; its paths are relative to the pulled directory.",
            )
        matched |= dict.fromkeys(path.resolve() for path in files)
    return tuple(matched)


def _similar_files(directory: Path) -> list[str]:
    """The relative paths of what looks like requirements files."""
    found = (path for pattern in ("*requirements*", "*requirements*/*") for path in directory.glob(pattern))
    return sorted(str(path.relative_to(directory)) for path in found if path.suffix in {".txt", ".in"})
