"""The documents of an image: its manifest, its configuration, and what they say about blobs.

https://github.com/opencontainers/image-spec/blob/v1.1.0/manifest.md
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefect_uv.errors import ImageInvalidError
from prefect_uv.registry.image_reference import DIGEST_FORM
from prefect_uv.shapes import mismatch

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
ACCEPTED_MANIFESTS = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX)
GZIPPED_LAYERS = (OCI_LAYER, DOCKER_LAYER)
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
CHUNK = 1 << 20
_TEXTS = ({...: str}, None)
_BLOB = {"mediaType": str, "digest": DIGEST_FORM, "size": int, "annotations": _TEXTS}
_MANIFEST = {"config": _BLOB, "layers": [_BLOB], "annotations": _TEXTS}
_INDEX = {"manifests": [{**_BLOB, "platform": ({"architecture": str, "os": str}, None)}]}
_TYPED = {"mediaType": (re.compile("|".join(map(re.escape, ACCEPTED_MANIFESTS))), None)}


@dataclass(frozen=True)
class Blob:
    """What a manifest says about a blob, or an index about a manifest.

    Attributes:
        media_type: its media type.
        digest: `sha256:…` of its content.
        size: its size in bytes.
        annotations: texts about it.
    """

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, data: bytes, media_type: str) -> Blob:
        """Describe content."""
        return cls(media_type, content_digest(data), len(data))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Blob:
        """Read what a document says."""
        return cls(value["mediaType"], value["digest"], value["size"], value.get("annotations") or {})

    def as_json(self) -> dict[str, Any]:
        """The form in which documents have it."""
        more = {"annotations": dict(self.annotations)} if self.annotations else {}
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size, **more}

    def check(self, path: Path, image: str) -> None:
        """Check the content of a file.

        Raises:
            ImageInvalidError: it is another one.
        """
        hasher = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                hasher.update(chunk)
        if f"sha256:{hasher.hexdigest()}" != self.digest:
            raise _wrong_content(image, self.digest, f"sha256:{hasher.hexdigest()}")


@dataclass(frozen=True)
class ImageManifest:
    """The manifest of an image for one platform."""

    config: Blob
    layers: tuple[Blob, ...]
    annotations: Mapping[str, str]

    @classmethod
    def read(cls, data: bytes, image: str) -> ImageManifest:
        """Read a manifest.

        Raises:
            ImageInvalidError: it is none.
        """
        document = _document(data, _MANIFEST, image)
        layers = tuple(map(Blob.from_json, document["layers"]))
        return cls(Blob.from_json(document["config"]), layers, document.get("annotations") or {})

    def encoded(self) -> bytes:
        """The manifest as it is pushed: the same for equal ones."""
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": self.config.as_json(),
            "layers": [layer.as_json() for layer in self.layers],
            "annotations": dict(self.annotations),
        }
        return encode_document(document)


def read_manifest(fetch: Callable[[str], bytes], digest: str, image: str) -> tuple[str, ImageManifest]:
    """The digest and the manifest of an image; from an index that of this machine's platform.

    Args:
        fetch: returns the document of a digest; of the image itself if that is empty.
        digest: the digest that it must have; empty for any.
        image: its name, for errors.

    Raises:
        ImageInvalidError: its content has another digest, it is no image, or it is not for this platform.
    """
    data = fetch("")
    found = content_digest(data)
    if digest and found != digest:
        raise _wrong_content(image, digest, found)
    if "manifests" not in _document(data, _TYPED, image):
        return found, ImageManifest.read(data, image)
    entries = _document(data, _INDEX, image)["manifests"]
    architecture = own_architecture()
    wanted = next((one for one in entries if (one.get("platform") or {}).get("architecture") == architecture), None)
    if wanted is None:
        raise ImageInvalidError(f"{image} has no environment for {architecture}.")
    data = fetch(wanted["digest"])
    if content_digest(data) != wanted["digest"]:
        raise _wrong_content(image, wanted["digest"], content_digest(data))
    return wanted["digest"], ImageManifest.read(data, image)


def content_digest(data: bytes) -> str:
    """The digest of content."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def encode_document(document: Mapping[str, Any]) -> bytes:
    """A document in its one form, with the keys in the order given."""
    return json.dumps(document, separators=(",", ":")).encode()


def own_architecture() -> str:
    """This machine's architecture, as images call it."""
    return ARCHITECTURES.get(platform.machine(), platform.machine())


def _document(data: bytes, shape: Any, image: str) -> dict[str, Any]:
    try:
        document = json.loads(data)
        wrong = mismatch(document, shape, "its manifest")
    except (ValueError, RecursionError):
        wrong = "its manifest is not JSON"
    if wrong:
        raise ImageInvalidError(f"{image} is no image that can be imported: {wrong}.")
    return dict(document)


def _wrong_content(image: str, wanted: str, found: str) -> ImageInvalidError:
    return ImageInvalidError(
        f"{image} is not what its digest says.",
        f"wanted: {wanted}\nfound:  {found}",
        "Nothing of it is used. Import it again; if that fails, the registry, or somebody on the way, has changed it.",
    )
