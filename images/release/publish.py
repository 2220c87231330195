"""Make a release: build, describe, audit, push, sign and tag the images."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from images import docker_engine
from images.build import NO_PYTHON, build, revision
from images.family import ROOT, Family, Image
from images.process import ToolError, run, say
from images.release import bill_of_materials, provenance
from images.release.audit import blocking, find_vulnerabilities
from images.release.contents import Contents, tags
from images.release.image_page import image_page
from images.release.oci_layout import Descriptor, Layout
from images.release.registry import Repository
from images.release.reproducible_image import ImageWriter
from images.release.signing import SigningKey

BASE = "base"
DIST = ROOT / "dist"
DIGESTS, PUBLIC_KEY = "digests.txt", "signing.pub"
ENVELOPE = "application/vnd.dsse.envelope.v1+json"
PREDICATE = "in-toto.io/predicate-type"


@dataclass(frozen=True)
class PlatformImage:
    """An image of a release for one platform.

    Attributes:
        contents: what a container of it says.
        size: the size of its files, in bytes.
        manifest: the descriptor of its manifest, with the platform.
        materials: its bill of materials, in CycloneDX.
    """

    contents: Contents
    size: int
    manifest: Descriptor
    materials: bytes

    @property
    def platform(self) -> str:
        """Its platform, such as `linux/arm64`."""
        return "/".join(self.manifest["platform"][name] for name in ("os", "architecture"))


@dataclass(frozen=True)
class ReleasedImage:
    """An image of a release.

    Attributes:
        image: its declaration.
        platforms: the image for each platform.
        index: the descriptor of the index of all platforms, to which its tags point.
        tags: its tags.
    """

    image: Image
    platforms: list[PlatformImage]
    index: Descriptor
    tags: list[str]


class Release:
    """All images of one commit."""

    def __init__(self, family: Family, repository: str, directory: Path = DIST) -> None:
        """Blobs, digests and the public key are written below `directory`."""
        self.family = family
        self.layout = Layout(directory / "oci")
        self.commit = revision()
        self.epoch = int(run(["git", "-C", str(ROOT), "log", "-1", "--format=%ct"], timeout=60))
        self.images: list[ReleasedImage] = []
        self._repository = repository
        self._directory = directory

    def build(self, names: Sequence[str], platforms: Sequence[str] = ("",), *, cached: bool = False) -> None:
        """Build the images for all platforms, from nothing unless `cached`, and describe them.

        Raises:
            ToolError: a build failed, except that uv could not download an interpreter.
        """
        described: dict[str, list[PlatformImage]] = defaultdict(list)
        with docker_engine.running() as docker:
            writer = ImageWriter(docker, self.layout, self.epoch)
            for family in (replace(self.family, platform=platform) for platform in platforms):
                failures = build(docker, family, names, *([] if cached else ["--no-cache"]))
                for name, error in failures.items():
                    if NO_PYTHON not in str(error):
                        raise ToolError(f"{family.tag(name)} was not built:\n{error}")
                    say(f"{family.tag(name)} is not in this release: its Python could not be downloaded")
                for name in (name for name in names if name not in failures):
                    described[name].append(self._describe(docker, writer, family, name))
        day = datetime.now(UTC).date()
        self.images = [
            ReleasedImage(
                image=self.family.images[name],
                platforms=images,
                index=self.layout.add_index([image.manifest for image in images]),
                tags=tags(images[0].contents, day),
            )
            for name, images in described.items()
        ]

    def audit(self, service: str) -> None:
        """Ask for known vulnerabilities, and print them.

        Raises:
            ToolError: one of them is high and not accepted, or the service could not be asked.
        """
        found = find_vulnerabilities((one.contents for image in self.images for one in image.platforms), service)
        print("\n".join(map(str, found)) or "no known vulnerabilities")
        if blockers := blocking(found, datetime.now(UTC).date()):
            lines = "\n".join(map(str, blockers))
            raise ToolError(f"there is no release with these vulnerabilities:\n{lines}")

    def push(self, key: SigningKey, source: str, *, rebuilt: bool = False) -> None:
        """Push, sign and attest all images, and give them their tags only then.

        Args:
            key: what to sign with.
            source: the address of the git repository, for the provenance.
            rebuilt: whether this is an earlier release with newer packages of Debian, which does not get its first tag.

        Raises:
            ToolError: the registry refused something, or has another image under a tag that never moves.
        """
        repository = Repository(self._repository)
        for released in self.images:
            found = None if rebuilt else repository.find(released.tags[0])
            if found and found[0] != released.index["digest"]:
                raise ToolError(f"{self._repository}:{released.tags[0]} is another image, and that tag never moves")
        for released in self.images:
            say(f"pushing {self._repository}:{released.tags[rebuilt]}")
            repository.push_manifest(self.layout, released.index)
            self._sign(repository, key, released.index)
            for image in released.platforms:
                self._sign(repository, key, image.manifest)
                self._attest(repository, key, released.image, image, source)
        for released in self.images:
            for tag in released.tags[rebuilt:]:
                repository.tag(self.layout, released.index, tag)
        key.public.write(self._directory / PUBLIC_KEY)
        lines = [f"{self._repository}@{released.index['digest']} {released.image.name}" for released in self.images]
        (self._directory / DIGESTS).write_text("\n".join(lines) + "\n")

    def write_page(self, page: Path) -> None:
        """Write the page that lists what is in the images."""
        page.write_text(image_page(self))

    def _describe(self, docker: str, writer: ImageWriter, family: Family, name: str) -> PlatformImage:
        tag = family.tag(name)
        say(f"describing {tag}")
        if family.images[name].target:
            contents = Contents.of(docker, family.tag(BASE), family.platform).of_tool(name)
        else:
            contents = Contents.of(docker, tag, family.platform)
        if contents.facts["version"] != family.version:
            raise ToolError(f"a container of {tag} says that it is {contents.facts['version']}")
        manifest = writer.write(tag)
        size = int(run([docker, "image", "inspect", "--format", "{{.Size}}", tag], timeout=60))
        digest = manifest["digest"]
        materials = bill_of_materials.bill_of_materials(contents, self._repository, digest, self.epoch)
        (self._directory / f"{tag.rpartition(':')[2]}.cdx.json").write_bytes(materials)
        return PlatformImage(contents, size, manifest, materials)

    def _sign(self, repository: Repository, key: SigningKey, descriptor: Descriptor) -> None:
        payload, annotations = key.sign_image(self._repository, descriptor["digest"])
        repository.push_signature(self.layout, descriptor["digest"], payload, annotations)

    def _attest(
        self, repository: Repository, key: SigningKey, declared: Image, image: PlatformImage, source: str
    ) -> None:
        """Attach the bill of materials, as it is and signed, and the provenance."""
        manifest = image.manifest
        repository.attach(self.layout, manifest, image.materials, bill_of_materials.MEDIA_TYPE)
        built = provenance.provenance(self.family, declared, self.commit, self.epoch, source)
        for predicate_type, predicate in (
            (bill_of_materials.PREDICATE_TYPE, json.loads(image.materials)),
            (provenance.PREDICATE_TYPE, built),
        ):
            statement = key.sign_statement(self._repository, manifest["digest"], predicate_type, predicate)
            repository.attach(self.layout, manifest, statement, ENVELOPE, **{PREDICATE: predicate_type})
