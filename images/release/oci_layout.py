"""An OCI layout: the blobs of images on disk, each under its digest.

https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

Descriptor = dict[str, Any]
"""What OCI's documents say about a blob: `mediaType`, `digest` (`sha256:…`), `size` in bytes, and more by kind."""


class Layout:
    """A directory of blobs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._blobs = directory / "blobs/sha256"
        self._blobs.mkdir(parents=True, exist_ok=True)
        (directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def path(self, digest: str) -> Path:
        """Where a blob is, or would be."""
        return self._blobs / digest.removeprefix("sha256:")

    def add(self, data: bytes, media_type: str, **more: Any) -> Descriptor:
        """Add a blob, and describe it."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.path(digest).write_bytes(data)
        return {"mediaType": media_type, "digest": digest, "size": len(data), **more}

    def add_document(self, document: Mapping[str, Any], media_type: str, **more: Any) -> Descriptor:
        """Add a document with its keys in the order given, and describe it."""
        return self.add(json.dumps(document, separators=(",", ":")).encode(), media_type, **more)

    def add_index(self, manifests: list[Descriptor]) -> Descriptor:
        """Add an index, which is one image for several platforms, and describe it."""
        return self.add_document({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}, INDEX)

    def document(self, descriptor: Descriptor) -> dict[str, Any]:
        """The document that a descriptor describes."""
        document: dict[str, Any] = json.loads(self.path(descriptor["digest"]).read_bytes())
        return document

    def blobs_of(self, manifest: Descriptor) -> list[Descriptor]:
        """The configuration and the layers of an image for one platform."""
        document = self.document(manifest)
        return [document["config"], *document["layers"]]
