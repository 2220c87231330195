"""Requirements files: what they include, whether they name Prefect, and what local directories they install."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.errors import DependencyUnreachableError, RequirementsMissingError
from prefect_uv.names import has_prefect, normalized

NAME = "requirements.txt"
_OPTION = re.compile(r"(-r|-c|-e|--requirement|--constraint|--editable)[ =]*(\S+)")
_NAMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_FILE = re.compile(
    r"(?:[A-Za-z0-9][A-Za-z0-9._\[\],-]*\s*@\s*)?(?:file:(?://)?)?(\.{0,2}/[^\s;#]*|\.{1,2}(?=$|[\s;\[]))"
)


@dataclass(frozen=True)
class Requirements:
    """Files as they are asked for, with everything that they include.

    Attributes:
        files: the files that were asked for.
        texts: path and content of each of them and of what they include.
        names: the normalized names that they require; constraints do not count.
        local: what they install from directories.
    """

    files: tuple[Path, ...]
    texts: tuple[tuple[Path, bytes], ...]
    names: frozenset[str]
    local: tuple[Path, ...]

    @classmethod
    def read(cls, files: Iterable[Path]) -> Requirements:
        """The files and what they include.

        Raises:
            RequirementsMissingError: an included file is not there.
            DependencyUnreachableError: a directory that one installs is not there.
        """
        chosen = tuple(files)
        reader = _Reader({}, set(), {})
        for file in chosen:
            reader.read(file)
        return cls(chosen, tuple(reader.texts.items()), frozenset(reader.names), tuple(reader.local))

    @property
    def has_prefect(self) -> bool:
        """Whether Prefect is among them by name."""
        return has_prefect(self.names)

    @property
    def hashed(self) -> bool:
        """Whether they name hashes, as `uv pip compile --generate-hashes` writes them."""
        return any(b"--hash=" in content for _, content in self.texts)


@dataclass(frozen=True)
class _Reader:
    texts: dict[Path, bytes]
    names: set[str]
    local: dict[Path, None]

    def read(self, file: Path, *, constraint: bool = False) -> None:
        if file in self.texts:
            return
        self.texts[file] = file.read_bytes()
        for line in _lines(self.texts[file].decode(errors="replace")):
            if match := _OPTION.match(line):
                self._option(file, match[1], match[2], constraint=constraint)
            elif match := _FILE.match(line):
                self._directory(file, match[1])
            elif (match := _NAMED.match(line)) and not constraint:
                self.names.add(normalized(match[0]))

    def _option(self, file: Path, option: str, value: str, *, constraint: bool) -> None:
        if "://" in value and not value.startswith("file:"):
            return
        if option in {"-e", "--editable"}:
            self._directory(file, value.removeprefix("file://"))
            return
        included = (file.parent / value).resolve()
        if not included.is_file():
            raise RequirementsMissingError(
                f"{file} includes {value}, which is not there.",
                f"There is no file {included}.",
                "Push it, or take the line out.",
            )
        self.read(included, constraint=constraint or option in {"-c", "--constraint"})

    def _directory(self, file: Path, value: str) -> None:
        place = (file.parent / value.partition("[")[0]).resolve()
        if not place.exists():
            raise DependencyUnreachableError(
                f"{file} installs {value}, which was not pulled.",
                f"There is nothing at {place}.",
                "Let the pull steps bring it, or take the line out.",
            )
        if place.is_dir():
            self.local[place] = None


def _lines(text: str) -> Iterator[str]:
    for line in text.replace("\\\n", " ").splitlines():
        if (stripped := line.strip()) and not stripped.startswith("#"):
            yield stripped


def expanded(directory: Path, patterns: Iterable[str], variable: str) -> tuple[Path, ...]:
    """The files that patterns stand for, those of one pattern in the order of their names.

    Raises:
        RequirementsMissingError: one stands for nothing.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        files = [path for path in _matching(directory, pattern) if path.is_file()]
        if not files:
            raise RequirementsMissingError(
                f"{variable} names {pattern}, and {directory} has no such file.",
                f"It has {', '.join(_named_so(directory)) or 'no file of the kind'}.",
                "Correct the job variable: paths are relative to the pulled directory.",
            )
        found |= dict.fromkeys(path.resolve() for path in files)
    return tuple(found)


def _matching(directory: Path, pattern: str) -> list[Path]:
    if Path(pattern).is_absolute() or not re.search(r"[*?\[]", pattern):
        return [directory / pattern]
    return sorted(directory.glob(pattern))


def _named_so(directory: Path) -> list[str]:
    """What looks like requirements files, for people."""
    found = (path for pattern in ("*requirements*", "*requirements*/*") for path in directory.glob(pattern))
    return sorted(str(path.relative_to(directory)) for path in found if path.suffix in {".txt", ".in"})
