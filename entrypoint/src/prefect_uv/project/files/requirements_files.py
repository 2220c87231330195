"""Requirements files: what they include, whether they name Prefect, and what they install from this machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.errors import RequirementsMissingError
from prefect_uv.log.mask import USERINFO
from prefect_uv.package_names import has_prefect
from prefect_uv.project.files.input_files import InputFiles, read_inputs
from prefect_uv.project.files.local_paths import read_local_paths, require_path, with_path_dependencies
from prefect_uv.project.files.path_patterns import paths_matching
from prefect_uv.project.files.requirement_lines import Include, Requirement, parse_statements, with_variables
from prefect_uv.project.files.text_files import decode_text

REQUIREMENTS_TXT = "requirements.txt"
PACKAGE_LIST = "The list of packages"
OTHER_KINDS = {".py", ".toml", ".cfg"}


@dataclass(frozen=True)
class Requirements:
    """Lines and files as they are asked for, with everything that they include.

    Attributes:
        directory: where uv works: paths of packages begin there, those of files at the file that includes them.
        lines: lines of a requirements file.
        files: the files that were asked for.
        texts: every file that is read.
        requirements: what they require; constraints do not count.
        variants: texts in which variables stand for something, as they are with them, without credentials.
        places: directories and archives on this machine that they or their constraints name, and what these depend on.
    """

    directory: Path
    lines: Sequence[str]
    files: tuple[Path, ...]
    texts: tuple[Path, ...]
    requirements: tuple[Requirement, ...]
    variants: tuple[str, ...]
    places: tuple[Path, ...]

    @classmethod
    def read(
        cls, directory: Path, files: Iterable[Path], environ: Mapping[str, str], lines: Sequence[str] = ()
    ) -> Requirements:
        """The lines and files, and what they include.

        Raises:
            RequirementsMissingError: an included file is not there.
            DependencyUnreachableError: a directory or an archive that one installs is not there.
            ProjectInvalidError: a file is no text.
        """
        chosen = tuple(files)
        reader = _Reader(directory, environ, {}, [], [], {})
        reader.take("\n".join(lines), None, constraint=False)
        for file in chosen:
            reader.read(file, constraint=False)
        texts = tuple(dict.fromkeys(file for file, _ in reader.seen))
        required, variants = tuple(reader.requirements), tuple(reader.variants)
        return cls(directory, lines, chosen, texts, required, variants, with_path_dependencies(reader.places))

    @property
    def has_prefect(self) -> bool:
        """Whether Prefect is among them by name."""
        return has_prefect({item.name for item in self.requirements if item.named})

    @property
    def hashed(self) -> bool:
        """Whether they name hashes, as `uv pip compile --generate-hashes` writes them."""
        return any(item.hashes for item in self.requirements)

    @property
    def pinned(self) -> set[str]:
        """The names of which only one version, file or commit will ever do."""
        return {item.name for item in self.requirements if item.exact}

    @property
    def inputs(self) -> InputFiles:
        """All that can change what is installed: the files, and what lies on this machine.

        What is included from an address is not read: like versions that nothing pins, uv looks at it when it resolves.
        """
        variants = (("with variables", text.encode()) for text in self.variants)
        return (*read_inputs(self.directory, self.texts), *variants, *read_local_paths(self.directory, self.places))


@dataclass(frozen=True)
class _Reader:
    directory: Path
    environ: Mapping[str, str]
    seen: dict[tuple[Path, bool], None]
    requirements: list[Requirement]
    variants: list[str]
    places: dict[Path, None]

    def read(self, file: Path, *, constraint: bool) -> None:
        """A file, once as requirements and once as constraints; uv reads the other kinds in ways of its own."""
        if (file, constraint) in self.seen:
            return
        self.seen[file, constraint] = None
        if file.suffix not in OTHER_KINDS:
            self.take(decode_text(file, file.read_bytes()), file, constraint=constraint)

    def take(self, text: str, file: Path | None, *, constraint: bool) -> None:
        """What a text says; of lines, there is no file."""
        if (whole := with_variables(text, self.environ)) != text:
            self.variants.append(USERINFO.sub("", whole))
        for found in parse_statements(text, self.environ):
            if isinstance(found, Requirement):
                self._requirement(found, file, constraint=constraint)
            elif file and found.path:
                self._include(found, file, constraint=constraint or found.constraint)

    def _requirement(self, found: Requirement, file: Path | None, *, constraint: bool) -> None:
        if not constraint:
            self.requirements.append(found)
        if not found.path:
            return
        place = self.directory / found.path
        self.places[place if constraint else require_path(place, file or PACKAGE_LIST, found.what)] = None

    def _include(self, found: Include, file: Path, *, constraint: bool) -> None:
        included = (file.parent / found.path).resolve()
        if not included.is_file():
            raise RequirementsMissingError(
                f"{file} includes {found.value}, which is not there.",
                f"There is no file {included}.",
                "Push it, or take the line out.",
            )
        self.read(included, constraint=constraint)


def expand_patterns(directory: Path, patterns: Iterable[str], variable: str) -> tuple[Path, ...]:
    """The files that patterns stand for, those of one pattern in the order of their names.

    Raises:
        RequirementsMissingError: one stands for nothing.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        files = [path for path in paths_matching(directory, pattern) if path.is_file()]
        if not files:
            raise RequirementsMissingError(
                f"{variable} names {pattern}, and {directory} has no such file.",
                f"It has {', '.join(_named_so(directory)) or 'no file of the kind'}.",
                "Correct the job variable: paths are relative to the pulled directory.",
            )
        found |= dict.fromkeys(path.resolve() for path in files)
    return tuple(found)


def _named_so(directory: Path) -> list[str]:
    """What looks like requirements files, for people."""
    found = (path for pattern in ("*requirements*", "*requirements*/*") for path in directory.glob(pattern))
    return sorted(str(path.relative_to(directory)) for path in found if path.suffix in {".txt", ".in"})
