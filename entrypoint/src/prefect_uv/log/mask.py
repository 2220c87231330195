"""Credentials are masked in everything that leaves the process."""

from __future__ import annotations

import base64
import re
from urllib.parse import quote

MASK = "****"
SHORTEST = 4
USERINFO = re.compile(r"(?<=://)([^\s/]+)@")
_QUERY = re.compile(r"(://[^\s'\"`?#<>]+\?)([^\s'\"`#<>]+)")
_VALUE = re.compile(r"=[^&;]+")
_AUTHORIZATION = re.compile(r"(?i)(authorization:\s*(?:basic|bearer)\s+)\S+")


def masked(text: str) -> str:
    """A text without what is secret by its place: before the last `@` of an address's host, in its query, in a header.

    A signed address carries its right in the query; names of parameters stay.
    """
    text = _QUERY.sub(lambda match: match[1] + _VALUE.sub(f"={MASK}", match[2]), USERINFO.sub(f"{MASK}@", text))
    return _AUTHORIZATION.sub(rf"\1{MASK}", text)


class Mask:
    """Replaces known secrets, and what is secret by its place, by `****`."""

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
        return masked(text)
