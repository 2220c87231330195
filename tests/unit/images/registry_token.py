"""A server of tokens for a registry, as those of GitHub and Docker Hub: it exchanges a login for a signed token."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509 import load_pem_x509_certificate

from tests.unit.http_server import Answer, Request

CONFIGURATION = """
version: 0.1
storage:
  filesystem:
    rootdirectory: registry
http:
  addr: 127.0.0.1:5000
"""
AUTHENTICATION = """
auth:
  token:
    realm: {realm}
    service: tests
    issuer: tests
    rootcertbundle: {certificate}
"""


class TokenServer:
    """Gives tokens to one user; `GET /token` and `POST /token` of a test's server lead here."""

    def __init__(self, certificates: Path, user: str, password: str) -> None:
        """`certificates` has a certificate that the registry trusts, and its key."""
        certificate = load_pem_x509_certificate((certificates / "ca.pem").read_bytes())
        self._certificate = base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()
        key = serialization.load_pem_private_key((certificates / "ca.key").read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key
        self._user, self._password = user, password
        self.tokens: list[str] = []

    def answer(self, request: Request) -> Answer:
        """A token for the scopes that are asked for, if the login is right: the password, or a refresh token."""
        asked = parse_qs(request.body.decode() if request.method == "POST" else urlsplit(request.path).query)
        login = base64.b64encode(f"{self._user}:{self._password}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {login}" and asked.get("refresh_token") != [self._password]:
            return Answer(401, {"errors": [{"code": "UNAUTHORIZED"}]})
        access = []
        for scope in asked["scope"]:
            kind, name, actions = scope.split(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        now = int(time.time())
        claims = {"iss": "tests", "aud": asked["service"][0], "sub": self._user, "jti": str(len(self.tokens))}
        self.tokens.append(self._signed({**claims, "nbf": now - 10, "iat": now, "exp": now + 60, "access": access}))
        return Answer(body={"access_token" if request.method == "POST" else "token": self.tokens[-1]})

    def _signed(self, claims: dict[str, object]) -> str:
        """A JWT: https://distribution.github.io/distribution/spec/auth/jwt/."""
        header = {"typ": "JWT", "alg": "ES256", "x5c": [self._certificate]}
        text = ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
        r, s = decode_dss_signature(self._key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{_encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
