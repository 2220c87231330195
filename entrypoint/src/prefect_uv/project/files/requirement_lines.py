"""The lines of requirements files, read by uv's rules for keys, import paths and messages. Only uv resolves them.

uv 0.13.8: https://github.com/astral-sh/uv/blob/0.13.8/crates/uv-requirements-txt/src/lib.rs (statements) and
https://github.com/astral-sh/uv/blob/0.13.8/crates/uv-pep508/src/lib.rs (`looks_like_unnamed_requirement`); compared
with uv in tests/unit/project/test_requirement_lines.py::test_uv_reads_the_same.
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
_REQUIREMENT_START = re.compile(r"[A-Za-z0-9./$]")
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
_LEADING_NAME = re.compile(r"([A-Za-z0-9._-]+?)(?:-\d|\.git\b|$)")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")


@dataclass(frozen=True)
class Requirement:
    """One requirement of a file.

    Attributes:
        name: the normalized name of the package; for a bare path or address, a guess from its last part.
        version_or_address: the version specifier or the address, as written.
        exact: whether only one version, file or commit is accepted.
        named: whether the line begins with the package's name; otherwise it is a bare path or address.
        path: the path of a local file or directory, relative to where uv works; otherwise empty.
        hashes: the hashes of the accepted files, as `sha256:…`, sorted.
    """

    name: str
    version_or_address: str
    exact: bool
    named: bool
    path: str = ""
    hashes: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """The version if exactly one is accepted; otherwise empty."""
        match = _ONE_VERSION.fullmatch(self.version_or_address)
        return match[1] if match else ""


@dataclass(frozen=True)
class Include:
    """A line that includes another file.

    Attributes:
        written: the path or address as written, without quotes.
        path: the path, relative to the directory of the including file; empty for an address.
        is_constraint: whether the file only limits versions.
    """

    written: str
    path: str
    is_constraint: bool


def parse_requirements(text: str) -> list[Requirement]:
    """The requirements in a text, without includes and options; their markers and extras are ignored."""
    return [statement for statement in parse_statements(text, {}) if isinstance(statement, Requirement)]


def parse_statements(text: str, environ: Mapping[str, str]) -> Iterator[Requirement | Include]:
    """Yield the requirements and includes of a text; other options are skipped.

    Args:
        text: lines of a requirements file.
        environ: the values of `${NAME}` in paths and addresses.
    """
    for stripped in _statements(text):
        if match := _INCLUDE.match(stripped):
            written = _unquoted(match[2].strip())
            yield Include(written, _local_path(with_variables(written, environ)), match[1] in {"-c", "--constraint"})
        elif match := _EDITABLE.match(stripped):
            yield _requirement(stripped[match.end() :], environ, editable=True)
        elif _REQUIREMENT_START.match(stripped):
            yield _requirement(stripped, environ)


def written_requirements(text: str, environ: Mapping[str, str]) -> list[str]:
    """The named requirements of a text as written, with markers, but without hashes and other options."""
    lines = filter(_REQUIREMENT_START.match, _statements(text))
    return [_OPTIONS.sub("", with_variables(line, environ)).strip() for line in lines]


def _statements(text: str) -> Iterator[str]:
    return map(str.strip, _COMMENT.sub("", text).replace("\\\n", " ").split("\n"))


def _requirement(line: str, environ: Mapping[str, str], *, editable: bool = False) -> Requirement:
    """Parse a package name, a path or an address; `-e lib` is the directory, not the package."""
    hashes = tuple(sorted(_HASH.findall(line)))
    line = _OPTIONS.sub("", line).strip()
    match = _NAMED_REQUIREMENT.fullmatch(line)
    if match and match["address"]:
        return _from_address(match["address"], environ, hashes, match[1])
    if editable or (_is_archive(match) if match else _is_path_or_address(line)):
        return _from_address(_EXTRAS.sub("", _MARKER.sub("", line)), environ, hashes)
    version = (match["version"] or "").strip(" ()") if match else line
    exact = bool(_ONE_VERSION.fullmatch(version))
    name = re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]
    return Requirement(normalized(name), version, exact, named=True, hashes=hashes)


def _is_archive(match: re.Match[str]) -> bool:
    """Whether it is a file such as `a-1.0-py3-none-any.whl`, which has the form of a package name."""
    return not match["version"] and bool(_ARCHIVE.fullmatch(match[1]))


def _is_path_or_address(line: str) -> bool:
    """Whether it is `./lib`, `libs/lib`, `$HOME/lib` or `https://…`. uv refuses anything else without a name."""
    first = line.split(maxsplit=1)[0]
    return first[0] in ".$" or "/" in first or bool(_SCHEME.match(first)) or bool(_ARCHIVE.fullmatch(first))


def _from_address(address: str, environ: Mapping[str, str], hashes: tuple[str, ...], name: str = "") -> Requirement:
    """Parse a path or an address. A git address is exact only if it names a full commit: branches and tags can move."""
    expanded = with_variables(address, environ)
    path = _local_path(expanded)
    location = path or re.sub(r"^[^:/]+://[^/]*", "", address).partition("#")[0].partition("@")[0]
    last_part = location.rstrip("/").rpartition("/")[2]
    exact = not expanded.startswith("git+") or bool(_COMMIT.search(expanded))
    return Requirement(
        normalized(name) or _guessed_name(last_part or address), address, exact, bool(name), path, hashes
    )


def _guessed_name(text: str) -> str:
    match = _LEADING_NAME.match(text)
    return normalized(match[1] if match else text)


def _local_path(address: str) -> str:
    """The local path of an address, or empty. Only after `file:` is a path percent-encoded."""
    scheme = _SCHEME.match(address)
    if scheme and scheme[1].lower() == "file":
        return unquote(re.sub(r"^//(?:localhost)?", "", address[scheme.end() :]).partition("#")[0])
    return "" if scheme else address.partition("#")[0]


def with_variables(value: str, environ: Mapping[str, str]) -> str:
    """Replace `${NAME}` as uv does in paths and addresses; a variable that is not set stays as written.

    uv 0.13.8: https://github.com/astral-sh/uv/blob/0.13.8/crates/uv-pep508/src/verbatim_url.rs (`expand_env_vars`), as
    in https://pip.pypa.io/en/stable/reference/requirements-file-format/#using-environment-variables
    """
    return _VARIABLE.sub(lambda match: environ.get(match[1], match[0]), value)


def _unquoted(value: str) -> str:
    """Remove quotes as a shell does, but keep spaces."""
    try:
        return " ".join(shlex.split(value))
    except ValueError:
        return value
