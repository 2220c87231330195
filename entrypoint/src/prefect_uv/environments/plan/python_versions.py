"""Which versions of Python a request accepts, as far as version numbers decide it.

Only an unknown fingerprint leads here: no warm start waits for the import of `packaging` (ADR 19).
"""

from __future__ import annotations

import re

_RELEASE = re.compile(r"[0-9]+(?:\.[0-9]+)*")
FAMILY = {"3.13": "py313", "3.12": "py312"}
PATCHES = range(100)


def accepts(request: str, version: str) -> bool | None:
    """Whether a version fits `3.12`, `3.12.4`, or specifiers such as `>=3.11,<3.14` (PEP 440).

    Returns:
        None if uv has to decide: requests of other kinds, and pre-releases that PEP 440 and uv judge differently. uv
        0.13.8 ignores the `rc1` of 3.14.0rc1 and takes it for `>=3.14`, but not for `3.14.0`
        (`VersionRequest::matches_interpreter`,
        https://github.com/astral-sh/uv/blob/0.12.5/crates/uv-python/src/discovery.rs).
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # noqa: PLC0415 (no warm start asks)
    from packaging.version import InvalidVersion, Version  # noqa: PLC0415

    try:
        specifiers, have = SpecifierSet(_specifiers(request)), Version(version.removesuffix("+"))
    except (InvalidSpecifier, InvalidVersion):
        return None
    answer = specifiers.contains(have, prereleases=True)
    return answer if answer == specifiers.contains(have.base_version) else None


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


def _specifiers(request: str) -> str:
    """A request as specifiers. Two numbers mean any patch of a minor version; `===` compares versions, as `==` (uv)."""
    release = request.strip()
    if not _RELEASE.fullmatch(release):
        return request.replace("===", "==")
    return f"=={release}" if release.count(".") > 1 else f"=={release}.*"
