"""A repository in a registry: whether it has a blob, and reading and writing blobs and manifests.

https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md
"""

from __future__ import annotations

from functools import partial
from http.client import HTTPResponse, IncompleteRead
from pathlib import Path
from urllib.parse import urlsplit

from prefect_uv.cache_volume.full_disk import naming_path
from prefect_uv.errors import ImageInvalidError, ImageNotFoundError
from prefect_uv.log.mask import Mask
from prefect_uv.processes.signals import call_in_thread
from prefect_uv.registry.image_documents import ACCEPTED_MANIFESTS, OCI_MANIFEST, Blob
from prefect_uv.registry.image_reference import DEFAULT_TAG, ImageReference
from prefect_uv.registry.registry_connection import (
    LARGEST_ANSWER,
    TRANSFER_BYTES,
    RegistryConnection,
    RegistryRequest,
    TroubleError,
)
from prefect_uv.settings import Settings

OK, CREATED, ACCEPTED, PARTIAL, NOT_FOUND = 200, 201, 202, 206, 404


class ImageRepository:
    """The repository of one image."""

    def __init__(self, reference: ImageReference, settings: Settings, mask: Mask, actions: str = "pull") -> None:
        """`actions` is what is to be done with the image: `pull` or `pull,push`."""
        self.reference = reference
        self._connection = RegistryConnection(reference, settings, mask, actions)

    def has_blob(self, blob: Blob) -> bool:
        """Whether the repository has a blob, so that it need not be pushed.

        Raises:
            RegistryUnreachableError, RegistryUnauthorizedError, RegistryRefusedError: there is no telling.
        """

        def ask() -> bool:
            with self._connection.open(RegistryRequest("HEAD", self._url("blobs", blob.digest))) as answer:
                if answer.status != NOT_FOUND:
                    self._connection.check(answer, f"look for {blob.digest}", OK)
                return answer.status == OK

        return self._connection.patiently(ask)

    def push_blob(self, blob: Blob, path: Path) -> None:
        """Push a blob from a file.

        Raises:
            RegistryUnreachableError, RegistryUnauthorizedError, RegistryRefusedError: it could not be pushed.
        """
        self._connection.patiently(partial(self._push_blob, blob, path))

    def push_manifest(self, data: bytes, digest: str) -> None:
        """Push a manifest whose blobs are there, under the tag of the reference, or only under its digest.

        Raises:
            RegistryUnreachableError, RegistryUnauthorizedError, RegistryRefusedError: it could not be pushed.
        """
        url = self._url("manifests", self.reference.tag or digest)

        def push() -> None:
            request = RegistryRequest("PUT", url, {"Content-Type": OCI_MANIFEST}, data)
            with self._connection.open(request) as answer:
                self._connection.check(answer, f"push {self.reference}", CREATED)

        self._connection.patiently(push)

    def manifest(self, digest: str = "") -> bytes:
        """The manifest, or the index, of this digest; by default that of the reference.

        Raises:
            ImageNotFoundError: there is none.
            RegistryUnreachableError, RegistryUnauthorizedError, RegistryRefusedError: it could not be read.
        """
        url = self._url("manifests", digest or self.reference.digest or self.reference.tag or DEFAULT_TAG)

        def read() -> bytes:
            headers = {"Accept": ", ".join(ACCEPTED_MANIFESTS)}
            with self._connection.open(RegistryRequest("GET", url, headers)) as answer:
                if answer.status == NOT_FOUND:
                    raise ImageNotFoundError(f"There is no image {self.reference}.")
                self._connection.check(answer, f"read {self.reference}", OK)
                return answer.read(LARGEST_ANSWER)

        return self._connection.patiently(read)

    def fetch_blob(self, blob: Blob, path: Path) -> None:
        """Write a blob to a file; a download that is cut off goes on where it ended.

        Raises:
            ImageInvalidError: the registry sends another content than the digest says.
            RegistryUnreachableError, RegistryUnauthorizedError, RegistryRefusedError: it could not be read.
        """
        path.unlink(missing_ok=True)
        with naming_path(path):
            path.touch()
        self._connection.patiently(partial(self._go_on, blob, path))
        blob.check(path, str(self.reference))

    def _push_blob(self, blob: Blob, path: Path) -> None:
        doing = f"push {blob.digest}"
        with self._connection.open(RegistryRequest("POST", f"{self._url('blobs', 'uploads')}/")) as answer:
            self._connection.check(answer, doing, ACCEPTED)
            url = self._connection.followed(self._url("blobs", "uploads"), answer.headers.get("Location") or "")
        separator = "&" if urlsplit(url).query else "?"
        headers = {"Content-Type": "application/octet-stream"}
        request = RegistryRequest("PUT", f"{url}{separator}digest={blob.digest}", headers, path)
        with self._connection.open(request) as answer:
            self._connection.check(answer, doing, CREATED)

    def _go_on(self, blob: Blob, path: Path) -> None:
        """Fetch what is still missing of a blob; a registry that knows no ranges sends all of it."""
        there = path.stat().st_size
        headers = {"Range": f"bytes={there}-"} if there else {}
        with self._connection.open(RegistryRequest("GET", self._url("blobs", blob.digest), headers)) as answer:
            if answer.status == NOT_FOUND:
                raise ImageNotFoundError(f"{self.reference} is incomplete: there is no {blob.digest}.")
            if answer.status != PARTIAL:
                self._connection.check(answer, f"read {blob.digest}", OK)
            _append(answer, path, blob, from_start=answer.status == OK)
        if path.stat().st_size < blob.size:
            message = f"{blob.digest} ended too early"
            raise TroubleError(message)

    def _url(self, kind: str, name: str) -> str:
        return f"{self.reference.url}/{kind}/{name}"


def _append(answer: HTTPResponse, path: Path, blob: Blob, *, from_start: bool) -> None:
    """Write an answer to a file, but no more than a blob has."""
    with path.open("wb" if from_start else "ab", buffering=0) as file:
        while chunk := _next_part(answer):
            with naming_path(path):
                file.write(chunk)
            if file.tell() > blob.size:
                raise ImageInvalidError(f"{blob.digest} is larger than its image says.")


def _next_part(answer: HTTPResponse) -> bytes:
    """The next part of an answer; empty at its end, expected or not."""
    try:
        return call_in_thread(answer.read, TRANSFER_BYTES)
    except IncompleteRead as error:
        return error.partial
