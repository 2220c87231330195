"""How a server is reached from here: which certificates it may have, and through which proxy."""

from __future__ import annotations

import base64
import ssl
from urllib.parse import SplitResult, unquote, urlsplit

from prefect_uv.errors import SettingsInvalidError
from prefect_uv.settings import Settings


def tls_context(settings: Settings) -> ssl.SSLContext:
    """How the API's certificate is verified: the system's CAs or the given bundle, or not at all where that is set.

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
    """The value of a header for `user:password`."""
    return f"Basic {base64.b64encode(credentials.encode()).decode()}"


def api_proxy(settings: Settings) -> SplitResult | None:
    """The proxy for the API by the usual variables, read as Python's own urllib reads them."""
    given = settings.flow_environ.items()
    variables = {name.lower(): value for name, value in given if name.lower().endswith("_proxy")}
    scheme, _, rest = settings.api_url.partition("://")
    address = variables.get(f"{scheme}_proxy") or variables.get("all_proxy")
    if not address:
        return None
    import urllib.request  # noqa: PLC0415 (few need it, and it costs 10 ms)

    host = rest.partition("/")[0]
    bypass = urllib.request.proxy_bypass_environment(host, {"no": variables.get("no_proxy", "")})  # type: ignore[attr-defined]
    return None if bypass else urlsplit(address if "://" in address else f"http://{address}")


def proxy_headers(proxy: SplitResult) -> dict[str, str]:
    """What a proxy wants to know of us, when its address has credentials."""
    credentials = unquote(proxy.netloc.rpartition("@")[0])
    return {"Proxy-Authorization": basic_authorization(credentials)} if credentials else {}
