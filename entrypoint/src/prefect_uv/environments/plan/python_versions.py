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
FAMILY = {"3.13": "py313", "3.12": "py312"}
PATCHES = range(100)


def accepts(request: str, version: str) -> bool | None:
    """Whether a version fits `3.12`, `3.12.4`, or specifiers as `>=3.11,<3.14`; nothing when it is another request."""
    parts = [_PART.fullmatch(part.strip()) for part in request.split(",")]
    release = _release(version)
    found = [_accepts(part, release) for part in parts if part]
    return all(found) if len(found) == len(parts) else None


def minor(version: str) -> str:
    """As `3.12`, of `3.12.4`."""
    return ".".join(version.split(".")[:2])


def image_for(request: str, here: str) -> str:
    """What to do with images for a request that the Python here does not meet; images choose a minor version.

    Nothing when no image can help: of other implementations and variants there is none, and none has all patches.
    """
    for version, image in FAMILY.items():
        fit = [patch for patch in PATCHES if accepts(request, f"{version}.{patch}")]
        if fit and version != minor(here):
            return f"Use the image {image} of the family{f' and ask for {version}' if len(fit) == 1 else ''}"
    if accepts(request, here) is None or any(accepts(request, f"{minor(here)}.{patch}") for patch in PATCHES):
        return ""
    return "Build an image that has it (Dockerfile.py312 with PYTHON_VERSION)"


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
