"""The family of images as data: `family.toml`, with the version of the entrypoint."""

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
        python: minor version of the projects' interpreter, such as `3.13`.
        description: one line for the label.
        parent: the image of the family that it is built from; Debian if there is none.
    """

    name: str
    dockerfile: str
    python: str
    description: str
    parent: str | None = None


@dataclass(frozen=True)
class Family:
    """All images, with what they have in common.

    Attributes:
        repository: repository name of the images; IMAGE_REPOSITORY takes precedence over family.toml.
        debian: codename of the Debian release that they are built on.
        licenses: SPDX expression of the project.
        version: release of the project, as in `entrypoint/pyproject.toml`.
        pins: version constraints of direct dependencies, by package.
        images: the images by name.
    """

    repository: str
    debian: str
    licenses: str
    version: str
    pins: Mapping[str, str]
    images: Mapping[str, Image]

    @property
    def debian_image(self) -> str:
        """Debian's image, which images without a parent are built from."""
        return f"debian:{self.debian}-slim"

    @property
    def prefect(self) -> str:
        """The Prefect version that the images are built for."""
        return self.pins["prefect"].removeprefix("==")

    def tag(self, name: str) -> str:
        """The full name of an image, such as `prefect-uv:base`."""
        return f"{self.repository}:{name}"

    def base_of(self, image: Image) -> str:
        """The full name of the image that this one is built from."""
        return self.tag(image.parent) if image.parent else self.debian_image

    def lineage(self, name: str) -> list[Image]:
        """The image and its parents, in build order."""
        image = self.images[name]
        return [*(self.lineage(image.parent) if image.parent else []), image]


def read(root: Path = ROOT) -> Family:
    """Read the family from this repository."""
    data = tomllib.loads((root / "images/family.toml").read_text())
    project = tomllib.loads((root / "entrypoint/pyproject.toml").read_text())["project"]
    common = data["family"] | {"repository": os.environ.get("IMAGE_REPOSITORY") or data["family"]["repository"]}
    images = {name: Image(name=name, **entry) for name, entry in data["images"].items()}
    return Family(**common, version=project["version"], pins=data["pins"], images=images)
