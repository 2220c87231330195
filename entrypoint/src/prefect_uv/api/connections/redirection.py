"""Where a redirect of the API may lead: to any http(s) URL, but never from https to http."""

from __future__ import annotations

from urllib.parse import quote, urljoin

from prefect_uv.urls import Origin

UNQUOTED = "%/:=&?~#+!$,;'@()*[]"


class RedirectError(Exception):
    """A server redirects to where we do not follow; the text goes on after "redirects"."""


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
