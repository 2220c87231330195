"""How to connect to the API: which certificates to trust, and which proxy to use."""

from __future__ import annotations

import base64
import ssl
from urllib.parse import SplitResult, unquote, urlsplit

from prefect_uv.errors import SettingsInvalidError
from prefect_uv.settings import Settings


def tls_context(settings: Settings) -> ssl.SSLContext:
    """The TLS context for the API: it trusts the system's CAs or the given bundle, or anything if that is set.

    Raises:
        SettingsInvalidError: the CA bundle cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=settings.api_ca_file or None)
    except OSError as error:
        raise SettingsInvalidError(
            f"The CA bundle {settings.api_ca_file} cannot be read.",
            str(error),
            "Mount it, or correct PREFECT_API_SSL_CERT_FILE (or SSL_CERT_FILE).",
        ) from None
    if settings.api_insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def basic_authorization(credentials: str) -> str:
    """The value of an `Authorization` header for `user:password`."""
    return f"Basic {base64.b64encode(credentials.encode()).decode()}"


def api_proxy(settings: Settings) -> SplitResult | None:
    """The proxy that the `*_PROXY` variables name for the API; None if there is none or NO_PROXY lists the API's host.

    CPython 3.13 reads them like this: https://docs.python.org/3/library/urllib.request.html#urllib.request.getproxies
    """
    given = settings.flow_environ.items()
    variables = {name.lower(): value for name, value in given if name.lower().endswith("_proxy")}
    scheme, _, rest = settings.api_url.partition("://")
    url = variables.get(f"{scheme}_proxy") or variables.get("all_proxy")
    if not url:
        return None
    import urllib.request  # noqa: PLC0415 (rarely needed, and takes 10 ms)

    host = rest.partition("/")[0]
    bypass = urllib.request.proxy_bypass_environment(host, {"no": variables.get("no_proxy", "")})  # type: ignore[attr-defined]
    return None if bypass else urlsplit(url if "://" in url else f"http://{url}")


def proxy_headers(proxy: SplitResult) -> dict[str, str]:
    """The headers that authenticate us to a proxy; none if its URL has no credentials."""
    credentials = unquote(proxy.netloc.rpartition("@")[0])
    return {"Proxy-Authorization": basic_authorization(credentials)} if credentials else {}
