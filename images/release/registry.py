"""A repository in a registry: blobs, manifests, tags, and the manifests that refer to another one (referrers).

https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from oras.container import Container
from oras.provider import Registry

from images.process import ToolError
from images.release import signing
from images.release.oci_layout import CONFIG, INDEX, MANIFEST, Descriptor, Layout

EMPTY_MEDIA_TYPE = "application/vnd.oci.empty.v1+json"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
BASIC, TOKEN = "basic", "token"  # as oras names how to log in
NOT_FOUND, TIMEOUT_SECONDS = 404, 60
REFERS = "OCI-Subject"


class Repository:
    """One repository, with the login that `docker login` wrote."""

    def __init__(self, name: str) -> None:
        """`name` is that of the repository with its registry, such as `localhost:5000/prefect-uv`.

        Raises:
            ToolError: the registry cannot be reached, or wants a login that is not there.
        """
        self.name = name
        self._container = Container(name)
        host = str(self._container.registry)
        scheme = "http" if host.rpartition(":")[0] in LOOPBACK else "https"
        authentication = self._authentication(f"{scheme}://{host}/v2/")
        self._registry = Registry(insecure=scheme == "http", auth_backend=authentication)
        logins = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker", "config.json")
        if logins.is_file():
            self._registry.auth.load_configs(self._container, [str(logins)])
        if authentication == BASIC and not hasattr(self._registry.auth, "_basic_auth"):
            raise ToolError(f"{name}: the registry wants a login: `docker login {host}`")
        self._manifests = f"{scheme}://{host}/v2/{self._container.api_prefix}/manifests"

    def push_manifest(self, layout: Layout, descriptor: Descriptor, reference: str = "") -> None:
        """Upload a manifest or an index with all that it describes, under a tag or its digest.

        Raises:
            ToolError: the registry refused something.
        """
        if descriptor["mediaType"] == INDEX:
            for manifest in layout.document(descriptor)["manifests"]:
                self.push_manifest(layout, manifest)
        else:
            self._push_blobs(layout, descriptor)
        self.tag(layout, descriptor, reference or descriptor["digest"])

    def tag(self, layout: Layout, descriptor: Descriptor, reference: str) -> dict[str, str]:
        """Give a manifest whose blobs are there a tag, and return the headers of the answer."""
        headers = {"Content-Type": descriptor["mediaType"]}
        data = layout.path(descriptor["digest"]).read_bytes()
        with self._failures(f"push {reference}"):
            response = self._registry.do_request(f"{self._manifests}/{reference}", "PUT", data=data, headers=headers)
            response.raise_for_status()
        return dict(response.headers)

    def attach(self, layout: Layout, subject: Descriptor, data: bytes, media_type: str, **annotations: str) -> None:
        """Push a blob with a manifest that refers to another one.

        In a registry without an API for referrers, an index under a tag lists them.
        """
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": media_type,
            "config": layout.add(b"{}", EMPTY_MEDIA_TYPE),
            "layers": [layout.add(data, media_type)],
            "subject": {name: subject[name] for name in ("mediaType", "digest", "size")},
            "annotations": annotations,
        }
        described = layout.add_document(manifest, MANIFEST, artifactType=media_type, annotations=annotations)
        self._push_blobs(layout, described)
        if REFERS not in self.tag(layout, described, described["digest"]):
            others = [one for one in self.referrers(subject["digest"]) if one["digest"] != described["digest"]]
            self.tag(layout, layout.add_index([*others, described]), _referrers_tag(subject["digest"]))

    def push_signature(self, layout: Layout, digest: str, payload: bytes, annotations: dict[str, str]) -> None:
        """Push a signature of the manifest with this digest, where cosign and skopeo look for it."""
        signature = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": layout.add_document({}, CONFIG),
            "layers": [layout.add(payload, signing.PAYLOAD_MEDIA_TYPE, annotations=annotations)],
        }
        self.push_manifest(layout, layout.add_document(signature, MANIFEST), _signature_tag(digest))

    def signature(self, digest: str) -> tuple[bytes, dict[str, str]]:
        """What was signed of the manifest with this digest, and the annotations with its signature.

        Raises:
            ToolError: it is not signed.
        """
        _, manifest = self.manifest(_signature_tag(digest))
        (layer,) = manifest["layers"]
        return self.blob(layer["digest"]), layer["annotations"]

    def referrers(self, digest: str) -> list[Descriptor]:
        """The manifests that refer to this one: from the API for it, or else from the index under its tag."""
        with self._failures(f"list what refers to {digest}"):
            url = f"{self._manifests.removesuffix('manifests')}referrers/{digest}"
            response = self._registry.do_request(url, headers={"Accept": INDEX})
            if response.ok:
                return list(response.json()["manifests"])
        found = self.find(_referrers_tag(digest))
        return list(json.loads(found[1])["manifests"]) if found else []

    def find(self, reference: str) -> tuple[str, bytes] | None:
        """The digest and the bytes of a manifest by its tag or its digest, None if there is none."""
        with self._failures(f"read {reference}"):
            headers = {"Accept": f"{INDEX}, {MANIFEST}"}
            response = self._registry.do_request(f"{self._manifests}/{reference}", headers=headers)
            if response.status_code == NOT_FOUND:
                return None
            response.raise_for_status()
        return self._checked(response.content, reference)

    def manifest(self, reference: str) -> tuple[str, dict[str, Any]]:
        """The digest and the document of a manifest.

        Raises:
            ToolError: there is none.
        """
        found = self.find(reference)
        if not found:
            raise ToolError(f"{self.name} has no {reference}")
        return found[0], json.loads(found[1])

    def blob(self, digest: str) -> bytes:
        """The content of a blob.

        Raises:
            ToolError: there is none, or its content is another.
        """
        with self._failures(f"read {digest}"), tempfile.NamedTemporaryFile() as file:
            self._registry.download_blob(self._container, digest, file.name)
            return self._checked(Path(file.name).read_bytes(), digest)[1]

    def _authentication(self, address: str) -> str:
        """How the registry wants to be logged in to, as oras names it."""
        with self._failures("reach the registry"):
            wanted = requests.get(address, timeout=TIMEOUT_SECONDS).headers.get("WWW-Authenticate", "")
        return BASIC if wanted.lower().startswith(BASIC) else TOKEN

    def _push_blobs(self, layout: Layout, manifest: Descriptor) -> None:
        for blob in layout.blobs_of(manifest):
            with self._failures(f"upload {blob['digest']}"):
                self._registry.upload_blob(str(layout.path(blob["digest"])), self._container, blob).raise_for_status()

    def _checked(self, content: bytes, reference: str) -> tuple[str, bytes]:
        """Content with its digest, which is not left to the registry."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if reference.startswith("sha256:") and reference != digest:
            raise ToolError(f"{self.name} answers with {digest} to {reference}")
        return digest, content

    @contextmanager
    def _failures(self, doing: str) -> Iterator[None]:
        """Report what the registry refuses, and a registry that cannot be reached."""
        try:
            yield
        except (OSError, ValueError) as error:  # the errors of requests are OSErrors
            raise ToolError(f"{self.name}: could not {doing}: {error}") from error


def _referrers_tag(digest: str) -> str:
    return digest.replace(":", "-")


def _signature_tag(digest: str) -> str:
    """Where cosign puts a signature: https://github.com/sigstore/cosign/blob/v2.4.0/specs/SIGNATURE_SPEC.md."""
    return f"{_referrers_tag(digest)}.sig"
