"""A directory in the OCI layout, read and written like a repository in a registry.

https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from prefect_uv.cache_volume.full_disk import naming_path
from prefect_uv.errors import ImageInvalidError, ImageNotFoundError
from prefect_uv.log.mask import Mask
from prefect_uv.registry.image_documents import OCI_INDEX, OCI_MANIFEST, Blob, encode_document
from prefect_uv.registry.image_reference import DIGEST_FORM, ImageReference
from prefect_uv.registry.image_repository import ImageRepository
from prefect_uv.settings import Settings
from prefect_uv.shapes import mismatch

REFERENCE_NAME = "org.opencontainers.image.ref.name"
_INDEX_FILE = {"manifests": [{"digest": DIGEST_FORM, "annotations": ({...: str}, None)}]}


class ImageStore(Protocol):
    """Where images are: a repository in a registry, or a directory."""

    reference: ImageReference

    def has_blob(self, blob: Blob) -> bool:
        """Whether a blob is there."""

    def push_blob(self, blob: Blob, path: Path) -> None:
        """Write a blob from a file."""

    def push_manifest(self, data: bytes, digest: str) -> None:
        """Write a manifest whose blobs are there."""

    def manifest(self, digest: str = "") -> bytes:
        """The manifest of this digest; by default that of the reference."""

    def fetch_blob(self, blob: Blob, path: Path) -> None:
        """Write a blob to a file, and check it."""


def image_store(reference: ImageReference, settings: Settings, mask: Mask, actions: str = "pull") -> ImageStore:
    """The registry or the directory that a reference names."""
    if reference.registry:
        return ImageRepository(reference, settings, mask, actions)
    return ImageLayout(reference)


class ImageLayout:
    """A directory with images; its index lists them, with a tag if they have one."""

    def __init__(self, reference: ImageReference) -> None:
        self.reference = reference
        self._root = Path(reference.repository)

    def has_blob(self, blob: Blob) -> bool:
        """Whether the directory has a blob."""
        return self._path(blob.digest).is_file()

    def push_blob(self, blob: Blob, path: Path) -> None:
        """Copy a blob from a file; it appears with its whole content."""
        self._prepare()
        temporary = self._root / f"write-{uuid4().hex}"
        try:
            with naming_path(temporary):
                shutil.copyfile(path, temporary)
            temporary.replace(self._path(blob.digest))
        finally:
            temporary.unlink(missing_ok=True)

    def push_manifest(self, data: bytes, digest: str) -> None:
        """Write a manifest, and list it in place of the one with the same tag; without one, of that without a tag."""
        self._prepare()
        self._write(self._path(digest), data)
        tag = self.reference.tag
        annotations = {"annotations": {REFERENCE_NAME: tag}} if tag else {}
        entry = {"mediaType": OCI_MANIFEST, "digest": digest, "size": len(data), **annotations}
        others = [one for one in self._listed() if _tag_of(one) != tag]
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*others, entry]}
        self._write(self._root / "index.json", encode_document(index))

    def manifest(self, digest: str = "") -> bytes:
        """The manifest of this digest; by default that of the reference, which needs no tag if there is only one.

        Raises:
            ImageNotFoundError: there is none, or there are several.
        """
        wanted = digest or self.reference.digest or self._digest_of_tag()
        try:
            return self._path(wanted).read_bytes()
        except FileNotFoundError:
            raise ImageNotFoundError(f"There is no image {self.reference}.") from None

    def fetch_blob(self, blob: Blob, path: Path) -> None:
        """Copy a blob to a file.

        Raises:
            ImageNotFoundError: it is missing.
            ImageInvalidError: its content is not what its digest says.
        """
        try:
            with naming_path(path):
                shutil.copyfile(self._path(blob.digest), path)
        except FileNotFoundError:
            raise ImageNotFoundError(f"{self.reference} is incomplete: there is no {blob.digest}.") from None
        blob.check(path, str(self.reference))

    def _digest_of_tag(self) -> str:
        tag = self.reference.tag
        found = [one["digest"] for one in self._listed() if not tag or _tag_of(one) == tag]
        if len(found) == 1:
            return str(found[0])
        reason = "several images: name one by its tag or digest" if found else "no such image"
        raise ImageNotFoundError(f"There is no image {self.reference}.", f"{self._root} has {reason}.")

    def _listed(self) -> list[dict[str, Any]]:
        try:
            document = json.loads((self._root / "index.json").read_bytes())
            wrong = mismatch(document, _INDEX_FILE, "index.json")
        except FileNotFoundError:
            return []
        except (ValueError, RecursionError):
            wrong = "index.json is not JSON"
        if wrong:
            raise ImageInvalidError(f"{self._root} is no OCI layout: {wrong}.")
        return list(document["manifests"])

    def _prepare(self) -> None:
        (self._root / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
        self._write(self._root / "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')

    def _write(self, path: Path, data: bytes) -> None:
        temporary = self._root / f"write-{uuid4().hex}"
        try:
            with naming_path(temporary):
                temporary.write_bytes(data)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def _path(self, digest: str) -> Path:
        return self._root / "blobs" / digest.replace(":", "/")


def _tag_of(entry: dict[str, Any]) -> str:
    return str((entry.get("annotations") or {}).get(REFERENCE_NAME, ""))
