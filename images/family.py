"""The family of images as data: `family.toml`, with the version of the entrypoint."""

from __future__ import annotations

import os
import platform
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from images.process import ToolError

ROOT = Path(__file__).resolve().parents[1]
DEFAULT_FLAVOUR = "default"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Image:
    """One image of the family.

    Attributes:
        name: selects the make target and the tag.
        dockerfile: the file it is built from.
        python: minor version of the projects' interpreter, such as `3.13`.
        description: one line for the label.
        packages: Debian packages that not all images of the Dockerfile have.
        parent: the image of the family that it is built from; Debian if there is none.
        prefect_client: whether it has an environment for pull steps that only Prefect can perform, if it has no parent.
        target: the stage of the Dockerfile that it is, if that is not the last one. Such an image cannot be run.
    """

    name: str
    dockerfile: str
    python: str
    description: str
    packages: tuple[str, ...] = ()
    parent: str | None = None
    prefect_client: bool = True
    target: str = ""


@dataclass(frozen=True)
class Family:
    """All images, with what they have in common.

    Attributes:
        repository: repository name of the images; IMAGE_REPOSITORY takes precedence over family.toml.
        published: repository name of the images in the documentation.
        debian: codename of the Debian release that they are built on; IMAGE_DEBIAN takes precedence.
        debian_pythons: minor versions of Python that the release has, its own first.
        licenses: SPDX expression of the project.
        version: release of the project, as in `entrypoint/pyproject.toml`.
        pins: version constraints of direct dependencies, by package.
        images: the images by name.
        platform: what they are built for (IMAGE_PLATFORM), such as `linux/arm64`; empty for this machine's own.
    """

    repository: str
    published: str
    debian: str
    debian_pythons: tuple[str, ...]
    licenses: str
    version: str
    pins: Mapping[str, str]
    images: Mapping[str, Image]
    platform: str = ""

    @property
    def debian_image(self) -> str:
        """Debian's image, which images without a parent are built from."""
        return f"debian{self._suffix}:{self.debian}-slim"

    @property
    def prefect(self) -> str:
        """The Prefect version that the images are built for."""
        return self.pins["prefect"].removeprefix("==")

    def tag(self, name: str) -> str:
        """The full name of an image, such as `prefect-uv:base`, or `prefect-uv:base-arm64` for another platform."""
        return f"{self.repository}:{name}{self._suffix}"

    def base_of(self, image: Image) -> str:
        """The full name of the image that this one is built from."""
        return self.tag(image.parent) if image.parent else self.debian_image

    @property
    def _suffix(self) -> str:
        """What tells images for another platform from this machine's own."""
        return f"-{self.platform.partition('/')[2].replace('/', '-')}" if self.platform else ""

    def lineage(self, name: str) -> list[Image]:
        """The image and its parents, in build order."""
        image = self.images[name]
        return [*(self.lineage(image.parent) if image.parent else []), image]


def read(root: Path = ROOT) -> Family:
    """Read the family from this repository.

    Raises:
        ToolError: IMAGE_DEBIAN names none of the releases in family.toml.
    """
    data = tomllib.loads((root / "images/family.toml").read_text())
    project = tomllib.loads((root / "entrypoint/pyproject.toml").read_text())["project"]
    common = data["family"]
    debian = os.environ.get("IMAGE_DEBIAN") or common["debian"]
    if debian not in data["debian"]:
        raise ToolError(f"no Debian release is named {debian}; there are {', '.join(data['debian'])}")
    pythons = tuple(data["debian"][debian])
    return Family(
        repository=os.environ.get("IMAGE_REPOSITORY") or common["repository"],
        published=common["published"],
        debian=debian,
        debian_pythons=pythons,
        licenses=common["licenses"],
        version=project["version"],
        pins=data["pins"],
        images={image.name: image for image in [*_bases(data, pythons), *_with_pythons(data, pythons)]},
        platform=foreign(os.environ.get("IMAGE_PLATFORM") or ""),
    )


def foreign(name: str) -> str:
    """A platform such as `linux/arm64` as `Family.platform` has it: empty if it is this machine's own."""
    return "" if name == native_platform() else name


def native_platform() -> str:
    """This machine's own platform, such as `linux/amd64`."""
    machine = platform.machine()
    return f"linux/{ARCHITECTURES.get(machine, machine)}"


def _bases(data: Mapping[str, Any], debian_pythons: Sequence[str]) -> Iterator[Image]:
    for name, base in data["bases"].items():
        yield Image(
            name=name,
            dockerfile="Dockerfile.base",
            python=debian_pythons[0],
            description=base["description"],
            packages=tuple(base["packages"]),
            prefect_client=base["prefect-client"],
            target=base.get("target", ""),
        )


def _with_pythons(data: Mapping[str, Any], debian_pythons: Sequence[str]) -> Iterator[Image]:
    """An image of each flavour for each Python."""
    for flavour, declared in data["flavours"].items():
        for python in data["family"]["pythons"]:
            short = python.replace(".", "")
            yield Image(
                name=f"py{short}" if flavour == DEFAULT_FLAVOUR else f"py{short}-{flavour}",
                dockerfile="Dockerfile.py312",
                python=python,
                description=declared["description"].format(python=python, short=short),
                packages=_packages(declared["packages"], python, debian_pythons),
                parent=declared["base"],
            )


def _packages(declared: Sequence[str], python: str, debian_pythons: Sequence[str]) -> tuple[str, ...]:
    """A flavour's packages, with the interpreter if it is one of Debian's that the base does not have.

    Headers of Python are left out if uv downloads the interpreter, because its builds have them.
    """
    of_debian = python in debian_pythons
    interpreter = (f"python{python}",) if of_debian and python != debian_pythons[0] else ()
    wanted = [package for package in declared if of_debian or "{python}" not in package]
    return (*interpreter, *(package.format(python=python) for package in wanted))
