"""Which versions of Python a request accepts: what uv also takes as one, but for names of implementations and paths."""

from __future__ import annotations

import re
from collections.abc import Callable

Release = tuple[int, ...]

_PART = re.compile(r"(?P<operator>~=|===?|!=|<=|>=|<|>)?\s*(?P<release>\d+(?:\.\d+)*)(?P<any>\.\*)?")
_COMPARE: dict[str, Callable[[Release, Release], bool]] = {
    "==": lambda have, want: have == want,
    "===": lambda have, want: have == want,
    "!=": lambda have, want: have != want,
    "<=": lambda have, want: have <= want,
    ">=": lambda have, want: have >= want,
    "<": lambda have, want: have < want,
    ">": lambda have, want: have > want,
}
MINORS = range(14, 7, -1)


def accepts(request: str, version: str) -> bool | None:
    """Whether a version fits `3.12`, `3.12.4`, or specifiers as `>=3.11,<3.14`; nothing when it is another request."""
    parts = [_PART.fullmatch(part.strip()) for part in request.split(",")]
    release = _release(version)
    found = [_accepts(part, release) for part in parts if part]
    return all(found) if len(found) == len(parts) else None


def minor(request: str) -> str:
    """The newest minor version that a request accepts, as `3.12`; empty when none is known."""
    named = re.search(r"3\.\d+", request)
    fit = (
        f"3.{number}" for number in MINORS if accepts(request, f"3.{number}.99") or accepts(request, f"3.{number}.0")
    )
    return next(fit, named[0] if named else "")


def _accepts(part: re.Match[str], have: Release) -> bool:
    want, operator = _release(part["release"]), part["operator"] or ""
    if operator == "~=":
        return have >= want and have[: len(want) - 1] == want[:-1]
    if not operator or part["any"]:
        same = have[: len(want)] == want
        return not same if operator == "!=" else same
    size = max(len(have), len(want))
    return _COMPARE[operator](_padded(have, size), _padded(want, size))


def _release(version: str) -> Release:
    """The numbers at its head; what is before a release counts as it (PEP 440)."""
    head = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(number) for number in (head[0] if head else "0").split("."))


def _padded(release: Release, size: int) -> Release:
    return (*release, *(0 for _ in range(size - len(release))))
