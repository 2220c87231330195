"""The lines of requirements files, by uv's rules (`uv-requirements-txt` and `uv-pep508`, tried with uv 0.13.8).

They are read for keys, import paths and messages; uv alone resolves them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from prefect_uv.package_names import normalized

_COMMENT = re.compile(r"(?:^|[ \t])#.*$", re.MULTILINE)
_INCLUDE = re.compile(r"(-r|-c|--requirement|--constraint)[=\s]\s*([^#]+)")
_EDITABLE = re.compile(r"(?:-e|--editable)[=\s]\s*")
_OPTIONS = re.compile(r"\s(?:--|-C[=\s]).*")
_HASH = re.compile(r"\s--hash[=\s]\s*(\S+)")
_BEGINNING = re.compile(r"[A-Za-z0-9./$]")
_NAMED_REQUIREMENT = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\]\s*)?"
    r"(?:@\s*(?P<address>.+?)(?:\s*;\s.*|\s+;.*)?|(?P<version>[(<>=!~][^;]*)?(?:;.*)?)"
)
_MARKER = re.compile(r"\s+;.*|;\s.*")
_EXTRAS = re.compile(r"\[[^\]]*\]$")
_ONE_VERSION = re.compile(r"===?\s*([^*,\s]+)")
_COMMIT = re.compile(r"@[0-9a-f]{40}(?:#|$)")
_ARCHIVE = re.compile(r".+\.(?:whl|zip|t[bglx]z|tar(?:\.(?:gz|bz2|lz|lzma|xz|zst))?)", re.IGNORECASE)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_STEM = re.compile(r"([A-Za-z0-9._-]+?)(?:-\d|\.git\b|$)")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")


@dataclass(frozen=True)
class Requirement:
    """One requirement of a file.

    Attributes:
        name: the package, normalized; of a path or an address alone, what its last part begins with.
        what: the version that is asked for, or the address, as it is written.
        exact: only one version, one file or one commit is accepted.
        named: it begins with the package's name; otherwise it is a path, or an address alone.
        path: of a file or directory on this machine, from where uv works; empty for all else.
        hashes: of the files that are accepted, as `sha256:…`.
    """

    name: str
    what: str
    exact: bool
    named: bool
    path: str = ""
    hashes: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """The one version, or nothing."""
        found = _ONE_VERSION.fullmatch(self.what)
        return found[1] if found else ""


@dataclass(frozen=True)
class Include:
    """Another file, or the address of one.

    Attributes:
        value: as it is written, without quotes.
        path: from the directory of the file that includes it; empty for what lies at an address.
        constraint: it only limits versions.
    """

    value: str
    path: str
    constraint: bool


def parse_requirements(text: str) -> list[Requirement]:
    """The requirements in a text; markers and extras do not count, and options are left out."""
    return [found for found in parse_statements(text, {}) if isinstance(found, Requirement)]


def parse_statements(text: str, environ: Mapping[str, str]) -> Iterator[Requirement | Include]:
    """What a text says, but for other options; `${NAME}` stands for a variable in paths and addresses."""
    for line in _COMMENT.sub("", text).replace("\\\n", " ").split("\n"):
        stripped = line.strip()
        if match := _INCLUDE.match(stripped):
            value = _unquoted(match[2].strip())
            yield Include(value, _local(with_variables(value, environ)), match[1] in {"-c", "--constraint"})
        elif match := _EDITABLE.match(stripped):
            yield _requirement(stripped[match.end() :], environ, editable=True)
        elif _BEGINNING.match(stripped):
            yield _requirement(stripped, environ)


def _requirement(line: str, environ: Mapping[str, str], *, editable: bool = False) -> Requirement:
    """A package by name, else a path or an address; `-e lib` is the directory, not the package."""
    hashes = tuple(sorted(_HASH.findall(line)))
    line = _OPTIONS.sub("", line).strip()
    found = _NAMED_REQUIREMENT.fullmatch(line)
    if found and found["address"]:
        return _at(found["address"], environ, hashes, found[1])
    if editable or (_is_archive(found) if found else _is_place(line)):
        return _at(_EXTRAS.sub("", _MARKER.sub("", line)), environ, hashes)
    version = (found["version"] or "").strip(" ()") if found else line
    exact = bool(_ONE_VERSION.fullmatch(version))
    name = re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]
    return Requirement(normalized(name), version, exact, named=True, hashes=hashes)


def _is_archive(found: re.Match[str]) -> bool:
    """A file, `a-1.0-py3-none-any.whl`, that could be a package's name."""
    return not found["version"] and bool(_ARCHIVE.fullmatch(found[1]))


def _is_place(line: str) -> bool:
    """`./lib`, `libs/lib`, `$HOME/lib`, `https://…`; anything else uv refuses."""
    first = line.split(maxsplit=1)[0]
    return first[0] in ".$" or "/" in first or bool(_SCHEME.match(first)) or bool(_ARCHIVE.fullmatch(first))


def _at(address: str, environ: Mapping[str, str], hashes: tuple[str, ...], name: str = "") -> Requirement:
    """A branch, a tag and the first digits of a commit are no more exact than no version."""
    whole = with_variables(address, environ)
    path = _local(whole)
    place = path or re.sub(r"^[^:/]+://[^/]*", "", address).partition("#")[0].partition("@")[0]
    last = place.rstrip("/").rpartition("/")[2]
    exact = not whole.startswith("git+") or bool(_COMMIT.search(whole))
    return Requirement(normalized(name) or _stem(last or address), address, exact, bool(name), path, hashes)


def _stem(text: str) -> str:
    found = _STEM.match(text)
    return normalized(found[1] if found else text)


def _local(address: str) -> str:
    """The path that an address is: `file:` may stand before it, and only after that is it quoted."""
    scheme = _SCHEME.match(address)
    if scheme and scheme[1].lower() == "file":
        return unquote(re.sub(r"^//(?:localhost)?", "", address[scheme.end() :]).partition("#")[0])
    return "" if scheme else address.partition("#")[0]


def with_variables(value: str, environ: Mapping[str, str]) -> str:
    """With the variables that uv puts into paths and addresses; those that are not set stay as they are written."""
    return _VARIABLE.sub(lambda name: environ.get(name[1], name[0]), value)


def _unquoted(value: str) -> str:
    """As a shell would read it, but for its spaces."""
    try:
        return " ".join(shlex.split(value))
    except ValueError:
        return value
