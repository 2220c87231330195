"""Signatures and signed statements, and what is refused."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import pytest

from images.process import ToolError
from images.release.signing import SIGNATURE_ANNOTATION, PublicKey, SigningKey

DIGEST, OTHER = f"sha256:{'0' * 64}", f"sha256:{'1' * 64}"
KEY = SigningKey.throw_away()


def test_signature_is_one_for_openssl(tmp_path: Path) -> None:
    """Another program verifies the signature with the public key's file."""
    payload, annotations = KEY.sign_image("registry.example/prefect-uv", DIGEST)
    KEY.public.write(tmp_path / "key.pem")
    (tmp_path / "payload").write_bytes(payload)
    (tmp_path / "signature").write_bytes(base64.b64decode(annotations[SIGNATURE_ANNOTATION]))
    command = ["openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "signature", "payload"]
    done = subprocess.run(command, check=True, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "Verified OK\n"


def test_payload_is_cosigns() -> None:
    """The digest and the repository are where cosign looks for them."""
    signed = json.loads(KEY.sign_image("registry.example/prefect-uv", DIGEST)[0])["critical"]
    assert signed["image"] == {"docker-manifest-digest": DIGEST}
    assert signed["identity"] == {"docker-reference": "registry.example/prefect-uv"}
    assert signed["type"] == "cosign container image signature"


def test_signature_of_another_image_or_key_is_refused() -> None:
    """A signature is for one digest, by one key."""
    payload, annotations = KEY.sign_image("r", DIGEST)
    KEY.public.verify_image(payload, annotations, DIGEST)
    with pytest.raises(ToolError, match=f"the signature is of {DIGEST}, not of {OTHER}"):
        KEY.public.verify_image(payload, annotations, OTHER)
    with pytest.raises(ToolError, match="is not by this key"):
        KEY.public.verify_image(payload.replace(b"0", b"1"), annotations, OTHER)
    with pytest.raises(ToolError, match="is not by this key"):
        SigningKey.throw_away().public.verify_image(payload, annotations, DIGEST)
    with pytest.raises(ToolError, match="is not by this key"):
        KEY.public.verify_image(payload, {}, DIGEST)


def test_statement_about_another_image_or_by_another_key_is_refused() -> None:
    """A statement is about one digest, by one key, and cannot be changed."""
    envelope = KEY.sign_statement("r", DIGEST, "type", {"a": 1})
    assert KEY.public.verify_statement(envelope, DIGEST) == ("type", {"a": 1})
    with pytest.raises(ToolError, match="a statement is about"):
        KEY.public.verify_statement(envelope, OTHER)
    with pytest.raises(ToolError, match="is not signed by this key"):
        SigningKey.throw_away().public.verify_statement(envelope, DIGEST)
    changed = json.loads(envelope)
    changed["payload"] = base64.b64encode(base64.b64decode(changed["payload"]).replace(b"1}", b"2}")).decode()
    with pytest.raises(ToolError, match="is not signed by this key"):
        KEY.public.verify_statement(json.dumps(changed).encode(), DIGEST)


def test_key_of_openssl_is_read(tmp_path: Path) -> None:
    """A key that openssl made signs; what is no key for ECDSA is named."""
    curve = ["-pkeyopt", "ec_paramgen_curve:P-256"]
    for algorithm, options in {"EC": curve, "RSA": []}.items():
        command = ["openssl", "genpkey", "-algorithm", algorithm, *options, "-out", f"{algorithm}.pem"]
        subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
    key = SigningKey.read(tmp_path / "EC.pem")
    key.public.write(tmp_path / "public.pem")
    PublicKey.read(tmp_path / "public.pem").verify_image(*key.sign_image("r", DIGEST), DIGEST)
    for reading in (SigningKey.read, PublicKey.read):
        with pytest.raises(ToolError, match=r"none\.pem is no"):
            reading(tmp_path / "none.pem")
    with pytest.raises(ToolError, match="is no key for ECDSA"):
        SigningKey.read(tmp_path / "RSA.pem")
