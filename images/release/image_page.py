"""The page that lists what is in the images of a release: versions, sizes, digests, packages and licenses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from docs.markdown import table
from images.release.contents import Contents, Package

if TYPE_CHECKING:
    from images.release.publish import Release, ReleasedImage

MEGABYTE = 1_000_000


def image_page(release: Release) -> str:
    """The whole page. Between two releases, its differences are what has changed in the images."""
    commit_date = datetime.fromtimestamp(release.epoch, UTC).date()
    parts = [
        "# Images",
        f"The images of prefect-uv {release.family.version}. `make release` asked their containers and wrote this.",
        f"Built from commit `{release.commit}` of {commit_date}.",
        _overview(release),
        "## Debian packages",
        _packages(release.images, lambda contents: contents.debian),
        "## Python packages",
        "Those of the images themselves, in `/opt`; projects bring their own.",
        _packages(release.images, lambda contents: contents.python),
    ]
    return "\n\n".join(parts) + "\n"


def _overview(release: Release) -> str:
    head = ("Image", "Platform", "Python", "uv", "Prefect", "Size", "To pull", "Digest")
    rows = []
    for released in release.images:
        for image in released.platforms:
            facts = image.contents.facts
            pulled = sum(blob["size"] for blob in release.layout.blobs_of(image.manifest))
            versions = (facts["python_version"], facts["uv"], facts["prefect"])
            sizes = (f"{size / MEGABYTE:.1f} MB" for size in (image.size, pulled))
            digest = f"`{released.index['digest']}`"
            rows.append((f"`{released.image.name}`", image.platform, *versions, *sizes, digest))
    return table(head, rows)


def _packages(images: Sequence[ReleasedImage], packages: Callable[[Contents], Sequence[Package]]) -> str:
    """Every package once, with the images that have it; those of all platforms are listed with their own versions."""
    having: dict[tuple[str, str, str], list[str]] = {}
    for released in images:
        for image in released.platforms:
            for package in packages(image.contents):
                row = (package.name, package.version, ", ".join(package.licenses))
                having.setdefault(row, []).append(released.image.name)
    rows = ((*row, _names(having[row], images)) for row in sorted(having, key=lambda row: (row[0].lower(), row)))
    return table(("Package", "Version", "Licenses", "Images"), rows)


def _names(names: Sequence[str], images: Sequence[ReleasedImage]) -> str:
    unique = dict.fromkeys(names)
    return "all" if unique.keys() >= {one.image.name for one in images if not one.image.target} else ", ".join(unique)
