"""What is secret in a URL, and which other URLs may get what is meant for it."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}

USERINFO = re.compile(r"(?<=://)([^\s/]+)@")
"""The user name and password of a URL, before the last `@` of its host."""


class Origin(NamedTuple):
    """The scheme, host and port of a URL; the port is always a number."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        """The origin of an http(s) URL.

        Raises:
            ValueError: it is none.
        """
        parts = urlsplit(url)
        if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
            message = "not an http(s) URL"
            raise ValueError(message)
        return cls(parts.scheme, parts.hostname, DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port)

    def trusts(self, other: Origin) -> bool:
        """Whether the other origin may get what was meant for this one: it is the same, or its own TLS.

        httpx 0.28, _redirect_headers, draws the same line: https://github.com/encode/httpx/blob/0.28.1/httpx/_client.py
        """
        upgraded = Origin("https", self.host, DEFAULT_PORTS["https"])
        return other == self or (self == Origin("http", self.host, DEFAULT_PORTS["http"]) and other == upgraded)
