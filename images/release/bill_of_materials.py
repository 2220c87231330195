"""The software bill of materials of an image, in CycloneDX.

https://cyclonedx.org/specification/overview/
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from images.release.contents import Contents, Package

MEDIA_TYPE = "application/vnd.cyclonedx+json"
PREDICATE_TYPE = "https://cyclonedx.org/bom"
LICENSES = LicenseFactory()


def bill_of_materials(contents: Contents, repository: str, digest: str, epoch: int) -> bytes:
    """The document as JSON; the same image at the same commit always has the same one.

    Args:
        contents: the image's packages.
        repository: the repository of the image, such as `ghcr.io/example/prefect-uv`.
        digest: the digest of its manifest.
        epoch: the time of the commit, in seconds since 1970.
    """
    name = repository.rpartition("/")[2]
    qualifiers = {"repository_url": repository}
    image = Component(
        name=repository,
        version=digest,
        type=ComponentType.CONTAINER,
        purl=PackageURL("oci", None, name, digest, qualifiers),
        bom_ref=digest,
    )
    bom = Bom(
        components=[_component(package) for package in (*contents.debian, *contents.python)],
        metadata=BomMetaData(component=image, timestamp=datetime.fromtimestamp(epoch, UTC)),
        serial_number=uuid5(NAMESPACE_URL, f"{repository}@{digest}"),
    )
    bom.register_dependency(image, bom.components)
    return JsonV1Dot6(bom).output_as_string(indent=1).encode()


def _component(package: Package) -> Component:
    if package.architecture:
        qualifiers = {"arch": package.architecture, "upstream": package.source}
        purl = PackageURL("deb", "debian", package.name, package.version, qualifiers)
    else:
        purl = PackageURL("pypi", None, package.name.lower(), package.version)
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.LIBRARY,
        purl=purl,
        licenses=_licenses(package.licenses),
        properties=[Property(name="prefect-uv:environment", value=package.environment)] if package.environment else [],
        bom_ref=f"{purl}#{package.environment}",
    )


def _licenses(names: Sequence[str]) -> list[License]:
    """One license may be an expression; CycloneDX allows no expression beside other licenses."""
    return [LICENSES.make_from_string(name) if len(names) == 1 else LICENSES.make_with_name(name) for name in names]
