"""Settings for the flow run and the connection to the Prefect API: the variables that Prefect itself reads.

Prefect 3.8.8: https://docs.prefect.io/v3/api-ref/settings-ref
"""

from __future__ import annotations

from dataclasses import dataclass

from prefect_uv.settings.declaration import setting
from prefect_uv.settings.parsers import api_key, boolean, headers, seconds, status_codes, url, uuid, whole_number


@dataclass(frozen=True, kw_only=True)
class ApiSettings:
    """Which flow run to execute, and how to reach the API."""

    flow_run_id: str = setting("PREFECT__FLOW_RUN_ID", uuid, "", "ID of the flow run to execute; the worker sets it.")
    api_url: str = setting(
        "PREFECT_API_URL", url, "", "URL of the Prefect API; that of a self-hosted server ends in `/api`."
    )
    api_key: str = setting("PREFECT_API_KEY", api_key, "", "API key, sent as a bearer token.", secret=True)
    api_auth_string: str = setting(
        "PREFECT_API_AUTH_STRING",
        str,
        "",
        "`user:password` for basic authentication; takes precedence over the API key.",
        secret=True,
    )
    api_headers: dict[str, str] = setting(
        "PREFECT_CLIENT_CUSTOM_HEADERS",
        headers,
        None,
        "JSON object of additional headers for every API request.",
        secret=True,
    )
    api_ca_file: str = setting(
        "PREFECT_API_SSL_CERT_FILE",
        str,
        "",
        "CA bundle to verify the API's certificate with, instead of the system's.",
        also=("SSL_CERT_FILE",),
    )
    api_insecure: bool = setting(
        "PREFECT_API_TLS_INSECURE_SKIP_VERIFY", boolean, False, "Do not verify the API's certificate."
    )
    api_csrf: bool = setting(
        "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED", boolean, True, "Fetch and send a CSRF token if the server requires one."
    )
    api_retries: int = setting(
        "PREFECT_CLIENT_MAX_RETRIES", whole_number, 5, "How many times to retry a failed API request."
    )
    api_retry_codes: tuple[int, ...] = setting(
        "PREFECT_CLIENT_RETRY_EXTRA_CODES",
        status_codes,
        (),
        "HTTP status codes to retry in addition to 408, 429, 500, 502, 503, 504 and 520 to 530.",
    )
    api_timeout: float = setting(
        "PREFECT_API_REQUEST_TIMEOUT", seconds, 60.0, "Seconds to wait for a response from the API."
    )
    api_wait: float = setting(
        "PREFECT_UV_API_WAIT_SECONDS",
        seconds,
        120.0,
        "Seconds to wait at the start for an API that does not answer yet: a sidecar or the server may be starting.",
    )
