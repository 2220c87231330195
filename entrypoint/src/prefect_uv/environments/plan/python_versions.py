"""Which versions of Python a request accepts, where the version number alone decides it.

This runs only if the fingerprint is unknown, so no warm start waits for the import of `packaging` (ADR 19).
"""

from __future__ import annotations

import re

_RELEASE = re.compile(r"[0-9]+(?:\.[0-9]+)*")
FAMILY = {"3.13": "py313", "3.12": "py312", "3.14": "py314", "3.11": "py311", "3.10": "py310"}
"""The images of the family by their Python, in the order in which they are proposed."""
PATCHES = range(100)


def accepts(request: str, version: str) -> bool | None:
    """Whether a version satisfies a request such as `3.12`, `3.12.4` or `>=3.11,<3.14` (PEP 440).

    Returns:
        None if uv has to decide: on other kinds of requests, and on pre-releases that PEP 440 and uv judge differently.
        uv 0.13.8 ignores the `rc1` of 3.14.0rc1 and accepts it for `>=3.14`, but not for `3.14.0`
        (`VersionRequest::matches_interpreter`):
        https://github.com/astral-sh/uv/blob/0.12.5/crates/uv-python/src/discovery.rs
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # noqa: PLC0415 (no warm start gets here)
    from packaging.version import InvalidVersion, Version  # noqa: PLC0415

    try:
        specifiers, candidate = SpecifierSet(_specifiers(request)), Version(version.removesuffix("+"))
    except (InvalidSpecifier, InvalidVersion):
        return None
    accepted = specifiers.contains(candidate, prereleases=True)
    return accepted if accepted == specifiers.contains(candidate.base_version) else None


def minor(version: str) -> str:
    """The minor version, such as `3.12` for `3.12.4`."""
    return ".".join(version.split(".")[:2])


def contradict(request: str, requires_python: str) -> bool:
    """Whether a request for one version, such as `3.12` or `3.12.4`, names none that requires-python allows."""
    release = request.strip()
    if not _RELEASE.fullmatch(release):
        return False
    versions = [release] if release.count(".") > 1 else [f"{release}.{number}" for number in PATCHES]
    return not any(_allows(requires_python, version) for version in versions)


def image_for(request: str, running: str, requires_python: str = "") -> str:
    """A hint: the image to use or to build if the running Python does not satisfy a request.

    Args:
        request: what is asked for.
        running: the version of the image's Python.
        requires_python: what the project allows; may be empty.

    Returns:
        An empty string if no image helps: images differ in the minor version only, so there is none for another
        implementation or variant, nor for each patch version.
    """
    for version, image in FAMILY.items():
        accepted = [
            patch
            for patch in PATCHES
            if accepts(request, f"{version}.{patch}") and _allows(requires_python, f"{version}.{patch}")
        ]
        if accepted and version != minor(running):
            return f"Use the image {image} of the family{f' and ask for {version}' if len(accepted) == 1 else ''}"
    if accepts(request, running) is None or any(accepts(request, f"{minor(running)}.{patch}") for patch in PATCHES):
        return ""
    return "Build an image that has it (Dockerfile.py312 with PYTHON_VERSION)"


def _allows(requires_python: str, version: str) -> bool:
    return accepts(requires_python or version, version) is not False


def _specifiers(request: str) -> str:
    """A request as specifiers: two numbers mean any patch version, and `===` compares versions like `==`, as in uv."""
    release = request.strip()
    if not _RELEASE.fullmatch(release):
        return request.replace("===", "==")
    return f"=={release}" if release.count(".") > 1 else f"=={release}.*"
