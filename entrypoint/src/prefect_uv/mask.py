"""Credentials are masked in everything that leaves the process."""

from __future__ import annotations

import base64
import re
from urllib.parse import quote

MASK = "****"
SHORTEST = 4
_URL_CREDENTIALS = re.compile(r"(?<=://)[^\s/@'\"`]+(?=@)")
_AUTHORIZATION = re.compile(r"(?i)(authorization:\s*(?:basic|bearer)\s+)\S+")


class Mask:
    """Replaces known secrets, and whatever stands before the `@` of a URL, by `****`."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()

    def add(self, *secrets: str | None) -> None:
        """Take secrets to mask; those shorter than four characters would tear ordinary words and are left out."""
        for secret in secrets:
            if secret and len(secret) >= SHORTEST:
                self._secrets |= {secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode()}

    def __call__(self, text: str) -> str:
        """The text without secrets, longest first so that no part of one survives."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, MASK)
        return _AUTHORIZATION.sub(rf"\1{MASK}", _URL_CREDENTIALS.sub(MASK, text))
