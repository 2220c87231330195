"""The family as data: what `family.toml` says, with the version of the entrypoint."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Image:
    """One image of the family.

    Attributes:
        name: selects the Dockerfile, the README, the tests, the make target and the tag.
        dockerfile: the file it is built from.
        python: minor version of the interpreter for projects.
        description: one line for the label.
        parent: the image of the family it is built on; without one it is built on Debian.
    """

    name: str
    dockerfile: str
    python: str
    description: str
    parent: str | None = None


@dataclass(frozen=True)
class Family:
    """All images, and what they have in common.

    Attributes:
        repository: the images' repository name; the variable IMAGE_REPOSITORY wins.
        debian: codename of the Debian release underneath.
        licenses: SPDX expression of the project.
        version: release of the project, as in `entrypoint/pyproject.toml`.
        pins: version constraints of the packages we depend on by name.
        images: the images by name, parents before children.
    """

    repository: str
    debian: str
    licenses: str
    version: str
    pins: Mapping[str, str]
    images: Mapping[str, Image]

    @property
    def debian_image(self) -> str:
        """The image that a parentless image is built on."""
        return f"debian:{self.debian}-slim"

    @property
    def prefect(self) -> str:
        """The Prefect version that the images are built for."""
        return self.pins["prefect"].removeprefix("==")

    def tag(self, name: str) -> str:
        """The full name of one image."""
        return f"{self.repository}:{name}"

    def base_of(self, image: Image) -> str:
        """The full name of the image that this one is built on."""
        return self.tag(image.parent) if image.parent else self.debian_image

    def lineage(self, name: str) -> list[Image]:
        """The image after its parents, in building order."""
        image = self.images[name]
        return [*(self.lineage(image.parent) if image.parent else []), image]


def read(root: Path = ROOT) -> Family:
    """Read the family of this checkout."""
    data = tomllib.loads((root / "images/family.toml").read_text())
    project = tomllib.loads((root / "entrypoint/pyproject.toml").read_text())["project"]
    common = data["family"] | {"repository": os.environ.get("IMAGE_REPOSITORY") or data["family"]["repository"]}
    images = {name: Image(name=name, **entry) for name, entry in data["images"].items()}
    return Family(**common, version=project["version"], pins=data["pins"], images=images)
