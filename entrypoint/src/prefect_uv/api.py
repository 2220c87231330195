"""A small client of Prefect's REST API.

Addresses, headers, CSRF and retry rules are those of Prefect 3.8.8 (`prefect/client/base.py`,
`prefect/client/orchestration/__init__.py`), without importing it.
"""

from __future__ import annotations

import json
import ssl
import threading
from typing import Any, NamedTuple
from urllib.parse import quote, unquote
from uuid import uuid4

import urllib3
from urllib3.exceptions import HTTPError, LocationValueError, MaxRetryError, ResponseError
from urllib3.response import BaseHTTPResponse

from prefect_uv import __version__
from prefect_uv.errors import ApiRefusedError, ApiUnauthorizedError, ApiUnreachableError, SettingsInvalidError
from prefect_uv.settings import Settings

API_VERSION = "0.8.4"
RETRIED_CODES = {408, 429, 502, 503}
LONGEST_BACKOFF_SECONDS = 10
OWN_HEADERS = {"user-agent", "prefect-csrf-token", "prefect-csrf-client"}
UNAUTHORIZED = {401, 403}
OK = 200
NOT_FOUND = 404
CSRF_OFF = {404, 422}

Json = dict[str, Any]


class Patience(NamedTuple):
    """How often a request is sent again, and how long each answer may take."""

    retries: int
    seconds: float


class NotFoundError(Exception):
    """The API answered 404; callers say what was not found."""


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


class Api:
    """The API at `PREFECT_API_URL`; safe to use from several threads.

    Every method raises ApiUnreachableError, ApiUnauthorizedError, ApiRefusedError or NotFoundError.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._http = _pool(settings)
        self._headers = _headers(settings)
        self._csrf_client = str(uuid4())
        self._csrf_token: str | None = None
        self._csrf = settings.api_csrf
        self._lock = threading.Lock()

    def version(self) -> str:
        """The server's version of Prefect."""
        return str(self._request("GET", "/admin/version"))

    def flow_run(self, flow_run_id: str, patience: Patience | None = None) -> Json:
        """The flow run as the API gives it."""
        answer: Json = self._request("GET", f"/flow_runs/{flow_run_id}", patience=patience)
        return answer

    def deployment(self, deployment_id: str) -> Json:
        """The deployment as the API gives it."""
        answer: Json = self._request("GET", f"/deployments/{deployment_id}")
        return answer

    def block(self, type_slug: str, name: str) -> Json:
        """A block document, secrets included."""
        path = f"/block_types/slug/{quote(type_slug)}/block_documents/name/{quote(name)}?include_secrets=true"
        answer: Json = self._request("GET", path)
        return answer

    def block_by_id(self, document_id: str) -> Json:
        """A block document, secrets included."""
        answer: Json = self._request("GET", f"/block_documents/{quote(document_id)}?include_secrets=true")
        return answer

    def variable(self, name: str) -> Any:
        """A variable's value."""
        return self._request("GET", f"/variables/name/{quote(name)}")["value"]

    def set_state(
        self, flow_run_id: str, type_: str, *, name: str | None = None, message: str = "", force: bool = False
    ) -> Json:
        """Propose a state; a retry carries the same transition id, so that it is made once.

        Returns:
            `{"status": "ACCEPT" | "REJECT" | "ABORT" | "WAIT", "state": …, "details": …}`.
        """
        details = {"transition_id": str(uuid4())}
        state = {"type": type_, "name": name, "message": message, "state_details": details}
        body = {"state": state, "force": force}
        answer: Json = self._request("POST", f"/flow_runs/{flow_run_id}/set_state", body)
        return answer

    def send_logs(self, entries: list[Json]) -> None:
        """Add lines to a flow run's log; tried twice only."""
        self._request("POST", "/logs/", entries, Patience(1, self._settings.api_timeout))

    def _request(self, method: str, path: str, body: Any = None, patience: Patience | None = None) -> Any:
        response = self._send(method, path, body, patience)
        if response.status in UNAUTHORIZED and self._csrf_token and b"CSRF" in response.data:
            self._csrf_token = None
            response = self._send(method, path, body, patience)
        if response.status == NOT_FOUND:
            raise NotFoundError
        if response.status in UNAUTHORIZED:
            raise ApiUnauthorizedError(
                f"The Prefect API at {self._settings.api_url} refused the credentials ({response.status}).",
                _answer(method, path, response),
                "Check PREFECT_API_KEY or PREFECT_API_AUTH_STRING in the work pool's or the deployment's environment.",
            )
        if response.status >= 400:  # noqa: PLR2004 (HTTP's own border between answers and errors)
            raise ApiRefusedError(
                f"The Prefect API at {self._settings.api_url} answered {response.status}.",
                _answer(method, path, response),
            )
        return self._decoded(method, path, response) if response.data else None

    def _decoded(self, method: str, path: str, response: BaseHTTPResponse) -> Any:
        try:
            return json.loads(response.data)
        except ValueError:
            raise ApiRefusedError(
                f"What answers at {self._settings.api_url} is not a Prefect API.",
                _answer(method, path, response),
                "PREFECT_API_URL ends in /api on a server of one's own.",
            ) from None

    def _send(self, method: str, path: str, body: Any, patience: Patience | None) -> BaseHTTPResponse:
        headers = dict(self._headers)
        if method != "GET":
            headers |= self._csrf_headers()
        return self._exchange(method, path, None if body is None else json.dumps(body).encode(), headers, patience)

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], patience: Patience | None
    ) -> BaseHTTPResponse:
        settings = self._settings
        patience = patience or Patience(settings.api_retries, settings.api_timeout)
        policy = Retry(
            total=patience.retries,
            status_forcelist=RETRIED_CODES | set(settings.api_retry_codes),
            allowed_methods=None,
            backoff_factor=1,
            backoff_jitter=0.2,
            backoff_max=LONGEST_BACKOFF_SECONDS,
        )
        try:
            return self._http.request(
                method,
                settings.api_url + path,
                body=body,
                headers=headers,
                retries=policy,
                timeout=urllib3.Timeout(total=patience.seconds),
            )
        except (HTTPError, LocationValueError) as error:
            reason = error.reason if isinstance(error, MaxRetryError) and error.reason else error
            kind = "refused every attempt" if isinstance(reason, ResponseError) else "did not answer"
            raise ApiUnreachableError(
                f"The Prefect API at {settings.api_url} {kind}.",
                f"{method} {path} was tried {(policy.total or 0) + 1} times: {reason}",
                "Check that PREFECT_API_URL can be reached from this container's network.",
            ) from None

    def _csrf_headers(self) -> dict[str, str]:
        """Fetched once and renewed after a refusal; a server without CSRF protection is asked once."""
        with self._lock:
            if self._csrf and not self._csrf_token:
                path = f"/csrf-token?client={self._csrf_client}"
                response = self._exchange("GET", path, None, self._headers, None)
                self._csrf = response.status not in CSRF_OFF
                self._csrf_token = self._decoded("GET", path, response)["token"] if response.status == OK else None
            if not self._csrf_token:
                return {}
            return {"Prefect-Csrf-Token": self._csrf_token, "Prefect-Csrf-Client": self._csrf_client}


def _answer(method: str, path: str, response: BaseHTTPResponse) -> str:
    return f"{method} {path} was answered: {response.data.decode(errors='replace')[:500]}"


def _headers(settings: Settings) -> dict[str, str]:
    headers = {
        "X-PREFECT-API-VERSION": API_VERSION,
        "User-Agent": f"prefect-uv/{__version__} (API {API_VERSION})",
        "Content-Type": "application/json",
    }
    if settings.api_auth_string:
        headers |= urllib3.make_headers(basic_auth=settings.api_auth_string)
    elif settings.api_key:
        headers["Authorization"] = f"Bearer {settings.api_key}"
    extra = settings.api_headers or {}
    return headers | {name: value for name, value in extra.items() if name.lower() not in OWN_HEADERS}


def _pool(settings: Settings) -> urllib3.PoolManager:
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
    variables = {name.lower(): value for name, value in settings.environ.items() if name.lower().endswith("_proxy")}
    scheme, _, rest = settings.api_url.partition("://")
    proxy = variables.get(f"{scheme}_proxy") or variables.get("all_proxy")
    if not proxy:
        return None
    import urllib.request  # noqa: PLC0415 (few need it, and it costs 10 ms)

    host = rest.partition("/")[0]
    bypass = urllib.request.proxy_bypass_environment(host, {"no": variables.get("no_proxy", "")})  # type: ignore[attr-defined]
    return None if bypass else proxy
