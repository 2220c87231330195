"""Origins of URLs, and where a redirect may lead: credentials stay with their origin, and TLS is never given up."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
UNQUOTED = "%/:=&?~#+!$,;'@()*[]"


class RedirectError(Exception):
    """A server redirects to where we do not follow; the text goes on after "redirects"."""


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


def redirected(url: str, location: str) -> str:
    """The absolute URL that a response from `url` redirects to.

    Raises:
        RedirectError: it is not an http(s) URL, or it leads from https to http.
    """
    try:
        target = urljoin(url, quote(location, safe=UNQUOTED))
        scheme = Origin.of(target).scheme
    except ValueError:
        message = f"to {location!r}, which is not an http(s) URL"
        raise RedirectError(message) from None
    if scheme == "http" and url.startswith("https://"):
        message = f"from https to {target}: without TLS, everyone on the way could read and change the requests"
        raise RedirectError(message)
    return target
