"""What a flow run's container needs on this machine: package index, proxies and certificates."""

from __future__ import annotations

import os

CERTIFICATES = "/etc/prefect-uv-stack/ca-certificates.crt"
PASSED_ON = (
    "UV_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_PYTHON_INSTALL_MIRROR",
    "UV_PYTHON_DOWNLOADS_JSON_URL",
)
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


def index_environment() -> dict[str, str]:
    """The variables of this machine's package index, which must be the same for `uv lock` and the containers."""
    passed = {name: os.environ[name] for name in PASSED_ON if os.environ.get(name)}
    default = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL")
    return {**passed, **({"UV_DEFAULT_INDEX": default} if default else {})}


def job_environment(gateway: str) -> dict[str, str]:
    """The variables of a flow run's container in addition to those that the worker sets."""
    proxies = {name: os.environ[name] for name in PROXIES if os.environ.get(name)}
    if proxies:
        direct = ",".join(filter(None, (os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), gateway)))
        proxies |= {"NO_PROXY": direct, "no_proxy": direct}
    certificates = {"SSL_CERT_FILE": CERTIFICATES, "UV_SYSTEM_CERTS": "1"} if os.environ.get("SSL_CERT_FILE") else {}
    return {**index_environment(), **proxies, **certificates}


def unreachable_network(gateway: str) -> dict[str, str]:
    """Variables that send everything but requests to the stack to a proxy that does not exist."""
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    proxies = {name: f"http://{gateway}:9" for upper in names for name in (upper, upper.lower())}
    return {**proxies, "NO_PROXY": gateway, "no_proxy": gateway}


def job_volumes(cache: str) -> list[str]:
    """The volumes of a flow run's container: the cache volume, and this machine's own certificates if it has any."""
    bundle = os.environ.get("SSL_CERT_FILE")
    return [f"{cache}:/cache", *([f"{bundle}:{CERTIFICATES}:ro"] if bundle else [])]
