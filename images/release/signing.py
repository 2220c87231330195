"""Signatures of images as cosign makes them, and signed statements about images (in-toto attestations in DSSE).

Signature: https://github.com/sigstore/cosign/blob/v2.4.0/specs/SIGNATURE_SPEC.md
Statement: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
Envelope: https://github.com/secure-systems-lab/dsse/blob/master/envelope.md
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer._crypto_signer import CryptoSigner
from securesystemslib.signer._key import SSlibKey

from images.process import ToolError

CURVE, ALGORITHM = ec.SECP256R1(), ec.ECDSA(hashes.SHA256())
PAYLOAD_MEDIA_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE_ANNOTATION = "dev.cosignproject.cosign/signature"
IN_TOTO = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"


class SigningKey:
    """A private key: ECDSA on the curve P-256, as cosign's."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key())

    @classmethod
    def throw_away(cls) -> SigningKey:
        """A new key, which nothing keeps."""
        return cls(ec.generate_private_key(CURVE))

    @classmethod
    def read(cls, path: Path) -> SigningKey:
        """Read a key in PEM, without a password.

        Raises:
            ToolError: the file is none.
        """
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except (OSError, TypeError, ValueError) as error:
            raise ToolError(f"{path} is no private key in PEM without a password: {error}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ToolError(f"{path} is no key for ECDSA")
        return cls(key)

    def sign_image(self, reference: str, digest: str) -> tuple[bytes, dict[str, str]]:
        """What is signed of an image, and the annotation with its signature."""
        payload = {
            "critical": {
                "identity": {"docker-reference": reference},
                "image": {"docker-manifest-digest": digest},
                "type": "cosign container image signature",
            },
            "optional": None,
        }
        signed = json.dumps(payload, separators=(",", ":")).encode()
        signature = self._key.sign(signed, ALGORITHM)
        return signed, {SIGNATURE_ANNOTATION: base64.b64encode(signature).decode()}

    def sign_statement(self, name: str, digest: str, predicate_type: str, predicate: Mapping[str, Any]) -> bytes:
        """A signed statement about the image with this digest."""
        statement = {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}],
            "predicateType": predicate_type,
            "predicate": predicate,
        }
        envelope = Envelope(json.dumps(statement).encode(), IN_TOTO, {})
        envelope.sign(CryptoSigner(self._key))
        return json.dumps(envelope.to_dict()).encode()


class PublicKey:
    """The key that verifies what a SigningKey signed."""

    def __init__(self, key: ec.EllipticCurvePublicKey) -> None:
        self._key = key

    @classmethod
    def read(cls, path: Path) -> PublicKey:
        """Read a key in PEM.

        Raises:
            ToolError: the file is none.
        """
        try:
            key = serialization.load_pem_public_key(path.read_bytes())
        except (OSError, ValueError) as error:
            raise ToolError(f"{path} is no public key in PEM: {error}") from error
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise ToolError(f"{path} is no key for ECDSA")
        return cls(key)

    def write(self, path: Path) -> None:
        """Write the key in PEM."""
        encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        path.write_bytes(self._key.public_bytes(encoding, form))

    def verify_image(self, payload: bytes, annotations: Mapping[str, str], digest: str) -> None:
        """Check a signature.

        Raises:
            ToolError: it is not by this key, or not of this digest.
        """
        try:
            self._key.verify(base64.b64decode(annotations[SIGNATURE_ANNOTATION]), payload, ALGORITHM)
        except (InvalidSignature, KeyError, ValueError) as error:
            raise ToolError(f"the signature of {digest} is not by this key") from error
        signed = json.loads(payload)["critical"]["image"]["docker-manifest-digest"]
        if signed != digest:
            raise ToolError(f"the signature is of {signed}, not of {digest}")

    def verify_statement(self, envelope: bytes, digest: str) -> tuple[str, dict[str, Any]]:
        """Check a signed statement, and return its predicate's type and the predicate.

        Raises:
            ToolError: it is not signed by this key, or about another image.
        """
        signed = Envelope.from_dict(json.loads(envelope))
        try:
            signed.verify([SSlibKey.from_crypto(self._key)], threshold=1)
        except (VerificationError, ValueError) as error:
            raise ToolError(f"a statement about {digest} is not signed by this key") from error
        statement = json.loads(signed.payload)
        subjects = [f"sha256:{subject['digest']['sha256']}" for subject in statement["subject"]]
        if signed.payload_type != IN_TOTO or subjects != [digest]:
            raise ToolError(f"a statement is about {', '.join(subjects)}, not about {digest}")
        return statement["predicateType"], statement["predicate"]
