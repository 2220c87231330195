"""Requirements as pip writes them, and as uv exports them: read for keys, never to resolve anything."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.names import normalized
from prefect_uv.project.script import PYTHON, Script

_COMMENT = re.compile(r"(^|\s)#.*$", re.MULTILINE)
_EXACT = re.compile(r"^\s*(?:@|===?\s*[^*,\s]+\s*$)")
_HASH = re.compile(r"\s--hash[= ](\S+)")
_INCLUDE = re.compile(r"^(-r|-c|--requirements?|--constraints?)[=\s]*(\S+)")
_NAMED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*([^;]*)")
_STEM = re.compile(r"([A-Za-z0-9._-]+?)(?:-\d|[@#]|\.git\b|$)")
_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:")


@dataclass(frozen=True)
class Requirement:
    """One requirement of a file.

    Attributes:
        name: the package, normalized; of a file, what its name begins with.
        what: the version that is asked for, or the address; anything else as it is written.
        exact: only one version, or one file, is accepted.
        named: it begins with the package's name; otherwise it is the path of a file, or an address alone.
        hashes: of the files that are accepted, as `sha256:…`.
    """

    name: str
    what: str
    exact: bool
    named: bool
    hashes: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """The one version, or nothing."""
        return self.what.lstrip("=").strip() if self.exact and self.what.startswith("=") else ""


def parsed(text: str) -> list[Requirement]:
    """The requirements in a text; markers and extras do not count, and options are left out."""
    lines = (line.strip() for line in _COMMENT.sub("", text).replace("\\\n", " ").splitlines())
    return [_requirement(line) for line in lines if line and not line.startswith("-")]


def wanted(lines: Sequence[str], files: Iterable[Path]) -> list[Requirement]:
    """The requirements of lines and files, and of the files that these include."""
    found = parsed("\n".join(lines))
    for path in files:
        found += parsed(_text(path))
        found += wanted((), _included(path, constraints=False))
    return found


def sources(files: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    """Everything that files say, themselves and what they include: a script says no more than its metadata.

    What is included from an address is not read: like versions that nothing pins, it is looked at when uv resolves.
    """
    for path in files:
        script = Script.read(path)
        yield path.name, script.block.encode() if script else path.read_bytes()
        yield from sources(_included(path, constraints=True))


def _text(path: Path) -> str:
    """A requirements file as it is, or the dependencies of a script."""
    script = Script.read(path)
    return "\n".join(script.document.get("dependencies", [])) if script else path.read_text()


def _included(path: Path, *, constraints: bool) -> list[Path]:
    lines = path.read_text().splitlines() if path.suffix != PYTHON else []
    found = [_INCLUDE.match(line.strip()) for line in lines if "://" not in line]
    return [path.parent / match[2] for match in found if match and (constraints or "-c" not in match[1])]


def _requirement(line: str) -> Requirement:
    hashes = tuple(sorted(_HASH.findall(line)))
    line = _HASH.sub("", line).strip()
    match = _NAMED.match(line)
    if match is None or _is_path(line):
        place = line.partition(" ;")[0].strip()
        stem = _STEM.match(place.rstrip("/").rpartition("/")[2])
        return Requirement(normalized(stem[1] if stem else place), place, exact=True, named=False, hashes=hashes)
    what = match[2].strip()
    exact = bool(_EXACT.match(what))
    return Requirement(normalized(match[1]), what.lstrip("@ "), exact=exact, named=True, hashes=hashes)


def _is_path(line: str) -> bool:
    """An address or a path instead of a name: `https://…`, `vendor/a.whl`, `a-1.0-py3-none-any.whl`."""
    first = line.split(maxsplit=1)[0]
    return bool(_URL.match(first)) or ("/" in first and "@" not in first) or first.endswith((".whl", ".tar.gz", ".zip"))
