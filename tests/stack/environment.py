"""What a flow run's container needs on this machine: package index, proxies, certificates."""

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
    """The package index that this machine is set up for; `uv lock` and the containers must agree on it."""
    passed = {name: os.environ[name] for name in PASSED_ON if os.environ.get(name)}
    default = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL")
    return {**passed, **({"UV_DEFAULT_INDEX": default} if default else {})}


def job_environment(gateway: str) -> dict[str, str]:
    """The environment of a flow run's container beside Prefect's own."""
    proxies = {name: os.environ[name] for name in PROXIES if os.environ.get(name)}
    if proxies:
        direct = ",".join(filter(None, (os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), gateway)))
        proxies |= {"NO_PROXY": direct, "no_proxy": direct}
    certificates = {"SSL_CERT_FILE": CERTIFICATES, "UV_SYSTEM_CERTS": "1"} if os.environ.get("SSL_CERT_FILE") else {}
    return {**index_environment(), **proxies, **certificates}


def unreachable_network(gateway: str) -> dict[str, str]:
    """Proxies that nobody serves, for everything but the stack."""
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    proxies = {name: f"http://{gateway}:9" for upper in names for name in (upper, upper.lower())}
    return {**proxies, "NO_PROXY": gateway, "no_proxy": gateway}


def job_volumes(cache: str) -> list[str]:
    """The volumes of a flow run's container: the cache, and this machine's certificates where it has its own."""
    bundle = os.environ.get("SSL_CERT_FILE")
    return [f"{cache}:/cache", *([f"{bundle}:{CERTIFICATES}:ro"] if bundle else [])]
