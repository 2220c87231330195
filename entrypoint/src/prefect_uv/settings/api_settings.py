"""The flow run, and how the Prefect API is reached: Prefect's own variables."""

from __future__ import annotations

from dataclasses import dataclass

from prefect_uv.settings.declaration import setting
from prefect_uv.settings.parsers import boolean, headers, seconds, status_codes, url, uuid, whole_number


@dataclass(frozen=True, kw_only=True)
class ApiSettings:
    """Which run, which API."""

    flow_run_id: str = setting("PREFECT__FLOW_RUN_ID", uuid, "", "The flow run to execute; the worker sets it.")
    api_url: str = setting("PREFECT_API_URL", url, "", "Address of the Prefect API, ending in /api.")
    api_key: str = setting("PREFECT_API_KEY", str, "", "API key, sent as a Bearer token.", secret=True)
    api_auth_string: str = setting(
        "PREFECT_API_AUTH_STRING",
        str,
        "",
        "user:password for Basic authentication; wins over the key.",
        secret=True,
    )
    api_headers: dict[str, str] = setting(
        "PREFECT_CLIENT_CUSTOM_HEADERS",
        headers,
        None,
        "JSON object of headers added to every API request.",
        secret=True,
    )
    api_ca_file: str = setting(
        "PREFECT_API_SSL_CERT_FILE", str, "", "CA bundle for the API instead of the system's.", also=("SSL_CERT_FILE",)
    )
    api_insecure: bool = setting(
        "PREFECT_API_TLS_INSECURE_SKIP_VERIFY", boolean, False, "Do not verify the API's certificate."
    )
    api_csrf: bool = setting(
        "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED", boolean, True, "Fetch and send CSRF tokens when the server wants them."
    )
    api_retries: int = setting(
        "PREFECT_CLIENT_MAX_RETRIES", whole_number, 5, "How often a failed API request is sent again."
    )
    api_retry_codes: tuple[int, ...] = setting(
        "PREFECT_CLIENT_RETRY_EXTRA_CODES", status_codes, (), "HTTP status codes to retry beside 408, 429, 502 and 503."
    )
    api_timeout: float = setting("PREFECT_API_REQUEST_TIMEOUT", seconds, 60.0, "Seconds to wait for an API answer.")
