"""How requests reach the API: TLS, proxies and retries."""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import unquote

import urllib3
from urllib3.response import BaseHTTPResponse

from prefect_uv.errors import SettingsInvalidError
from prefect_uv.settings import Settings


class Retry(urllib3.Retry):
    """urllib3's retries, but an answer of a server under maintenance does not use one up."""

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: Any = None,
        _stacktrace: Any = None,
    ) -> Retry:
        """As urllib3's, giving the attempt back when the answer carries `Prefect-Maintenance: true`."""
        maintenance = response is not None and response.headers.get("Prefect-Maintenance") == "true"
        again = self.new(total=self.total + 1) if maintenance and isinstance(self.total, int) else self
        return super(Retry, again).increment(method, url, response, error, _pool, _stacktrace)


def pool(settings: Settings) -> urllib3.PoolManager:
    """Connections to the API, through a proxy where the environment names one.

    Raises:
        SettingsInvalidError: the CA bundle cannot be read.
    """
    options: dict[str, Any] = {"maxsize": 2}
    if settings.api_url.startswith("https://"):
        options["ssl_context"] = tls_context(settings)
    proxy = _proxy(settings)
    if not proxy:
        return urllib3.PoolManager(**options)
    credentials = unquote(urllib3.util.parse_url(proxy).auth or "")
    headers = urllib3.make_headers(proxy_basic_auth=credentials) if credentials else None
    return urllib3.ProxyManager(proxy, proxy_headers=headers, **options)


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


def _proxy(settings: Settings) -> str | None:
    """The proxy for the API by the usual variables, read as Python's own urllib reads them."""
    given = settings.flow_environ.items()
    variables = {name.lower(): value for name, value in given if name.lower().endswith("_proxy")}
    scheme, _, rest = settings.api_url.partition("://")
    proxy = variables.get(f"{scheme}_proxy") or variables.get("all_proxy")
    if not proxy:
        return None
    import urllib.request  # noqa: PLC0415 (few need it, and it costs 10 ms)

    host = rest.partition("/")[0]
    bypass = urllib.request.proxy_bypass_environment(host, {"no": variables.get("no_proxy", "")})  # type: ignore[attr-defined]
    return None if bypass else proxy
