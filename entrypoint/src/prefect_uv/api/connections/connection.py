"""How to connect to the API: which certificates to trust, and which proxy to use."""

from __future__ import annotations

import base64
import socket
import ssl
from http.client import HTTPConnection
from urllib.parse import SplitResult, unquote, urlsplit

from prefect_uv.errors import SettingsInvalidError
from prefect_uv.settings import Settings
from prefect_uv.urls import Origin


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


def connect_tcp(settings: Settings, origin: Origin, timeout: float) -> socket.socket:
    """A TCP connection to an origin, through a tunnel if there is a proxy.

    Raises:
        OSError, HTTPException: there is no way to it, or the proxy refuses.
    """
    proxy = api_proxy(settings, origin)
    host, port = (proxy.hostname or "", proxy.port or 80) if proxy else (origin.host, origin.port)
    connection = HTTPConnection(host, port, timeout=timeout)
    if proxy:
        connection.set_tunnel(origin.host, origin.port, proxy_headers(proxy))
    connection.connect()
    connected: socket.socket = connection.sock
    connected.settimeout(None)
    return connected


def basic_authorization(credentials: str) -> str:
    """The value of an `Authorization` header for `user:password`."""
    return f"Basic {base64.b64encode(credentials.encode(errors='surrogateescape')).decode()}"


def api_proxy(settings: Settings, origin: Origin, purpose: str = "the Prefect API") -> SplitResult | None:
    """The proxy that the `*_PROXY` variables name for an origin; None if there is none or NO_PROXY lists the host.

    CPython 3.13 reads them like this: https://docs.python.org/3/library/urllib.request.html#urllib.request.getproxies

    Raises:
        SettingsInvalidError: it is not an http proxy. We have no TLS for the way to a proxy, which may need a password.
    """
    given = settings.flow_environ.items()
    variables = {name.lower(): value for name, value in given if name.lower().endswith("_proxy")}
    name = next((name for name in (f"{origin.scheme}_proxy", "all_proxy") if variables.get(name)), None)
    if name is None:
        return None
    import urllib.request  # noqa: PLC0415 (rarely needed, and takes 10 ms)

    address = f"{origin.host}:{origin.port}"
    if urllib.request.proxy_bypass_environment(address, {"no": variables.get("no_proxy", "")}):  # type: ignore[attr-defined]
        return None
    url = variables[name] if "://" in variables[name] else f"http://{variables[name]}"
    try:
        if Origin.of(url).scheme == "http":
            return urlsplit(url)
        reason = "an https proxy is not supported"
    except ValueError:
        reason = "it is not an http URL"
    raise SettingsInvalidError(
        f"The proxy in {name.upper()} cannot be used for {purpose}: {reason}.",
        hint=f"Set it to `http://host:port`, or add {origin.host} to NO_PROXY.",
    )


def proxy_headers(proxy: SplitResult) -> dict[str, str]:
    """The headers that authenticate us to a proxy; none if its URL has no credentials."""
    credentials = unquote(proxy.netloc.rpartition("@")[0])
    return {"Proxy-Authorization": basic_authorization(credentials)} if credentials else {}
