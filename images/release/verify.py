"""Check what a registry has of a release, with nothing but the release's public key."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from images.process import ToolError
from images.release import bill_of_materials, provenance
from images.release.publish import ENVELOPE
from images.release.registry import Repository
from images.release.signing import PublicKey


@dataclass(frozen=True)
class VerifiedImage:
    """An image whose signature and statements are by the key.

    Attributes:
        tag: the tag that was asked for.
        digest: the digest of the index that the tag points to.
        packages: how many packages its bill of materials lists.
        commit: the commit that it was built from.
    """

    tag: str
    digest: str
    packages: int
    commit: str


def verify(repository: Repository, tags: Sequence[str], key: PublicKey) -> list[VerifiedImage]:
    """Check the signatures of the images with these tags of a version, such as `1.2.0-py313`, and what is said of them.

    Raises:
        ToolError: something is missing, not signed by the key, or about another image or version.
    """
    return [_verify(repository, tag, key) for tag in tags]


def _verify(repository: Repository, tag: str, key: PublicKey) -> VerifiedImage:
    digest, index = repository.manifest(tag)
    _verify_signature(repository, digest, key)
    packages, commit = 0, ""
    for manifest in index["manifests"]:
        _verify_signature(repository, manifest["digest"], key)
        statements = _statements(repository, manifest["digest"], key)
        for predicate_type in (bill_of_materials.PREDICATE_TYPE, provenance.PREDICATE_TYPE):
            if predicate_type not in statements:
                raise ToolError(f"{tag} has no signed statement of the type {predicate_type}")
        built = statements[provenance.PREDICATE_TYPE]["buildDefinition"]
        packages = len(statements[bill_of_materials.PREDICATE_TYPE]["components"])
        commit = built["resolvedDependencies"][0]["digest"]["gitCommit"]
        name = f"{built['externalParameters']['version']}-{built['externalParameters']['image']}"
        if name != tag:
            raise ToolError(f"{tag} is {name}")
    return VerifiedImage(tag, digest, packages, commit)


def _verify_signature(repository: Repository, digest: str, key: PublicKey) -> None:
    payload, annotations = repository.signature(digest)
    key.verify_image(payload, annotations, digest)


def _statements(repository: Repository, digest: str, key: PublicKey) -> dict[str, dict[str, Any]]:
    """The statements about an image that the key has signed, by the types of their predicates; others may sign more."""
    statements = {}
    for referrer in repository.referrers(digest):
        if referrer.get("artifactType") == ENVELOPE:
            _, manifest = repository.manifest(referrer["digest"])
            (layer,) = manifest["layers"]
            with suppress(ToolError):
                predicate_type, predicate = key.verify_statement(repository.blob(layer["digest"]), digest)
                statements[predicate_type] = predicate
    return statements
