"""Masking credentials in everything that we log or send; what the engine prints passes unchanged."""

from __future__ import annotations

import base64
import re
from urllib.parse import quote

from prefect_uv.urls import USERINFO

MASK = "****"
SHORTEST = 4
_QUERY = re.compile(r"(://[^\s'\"`?#<>]+\?)([^\s'\"`#<>]+)")
_VALUE = re.compile(r"=[^&;]+")
_AUTHORIZATION = re.compile(r"(?i)(authorization:\s*(?:basic|bearer)\s+)\S+")


def masked(text: str) -> str:
    """Mask what is secret wherever it stands: user information and query values of URLs, and authorization headers.

    A signed URL has its signature in the query. The names of query parameters are kept.
    """
    text = _QUERY.sub(lambda match: match[1] + _VALUE.sub(f"={MASK}", match[2]), USERINFO.sub(f"{MASK}@", text))
    return _AUTHORIZATION.sub(rf"\1{MASK}", text)


class Mask:
    """Replaces known secrets, and everything that `masked` finds, with `****`."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()

    def add(self, *secrets: str | None) -> None:
        """Add secrets; those shorter than four characters are ignored, because they would occur in ordinary words."""
        for secret in secrets:
            if secret and len(secret) >= SHORTEST:
                self._secrets |= {secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode()}

    def __call__(self, text: str) -> str:
        """Mask a text; longer secrets are replaced first, so that no part of one remains."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, MASK)
        return masked(text)
