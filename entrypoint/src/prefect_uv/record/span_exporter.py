"""Sends the spans of a start to a collector: OTLP over HTTP, with the variables that exporters read anyway.

OpenTelemetry 1.50: https://opentelemetry.io/docs/specs/otel/protocol/exporter/ and
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from urllib.parse import unquote, urlsplit

from prefect_uv import __version__
from prefect_uv.api.client import Json
from prefect_uv.api.connections.connection_pool import BodyTooLargeError
from prefect_uv.api.connections.redirection import RedirectError
from prefect_uv.api.patience import RetryPolicy
from prefect_uv.api.transport import ApiRequest, Transport, UnansweredError
from prefect_uv.errors import SettingsInvalidError
from prefect_uv.log.run_log import RunLog
from prefect_uv.record.span_encoding import encoded_spans
from prefect_uv.record.start_spans import resource_spans
from prefect_uv.record.trace_context import TraceContext
from prefect_uv.settings import Settings
from prefect_uv.settings.parsers import url as checked_url

COLLECTOR_PREFIX = "OTEL_EXPORTER_OTLP_"
GRPC_PORT = 4317
DEFAULT_MILLISECONDS = 10_000.0
SPAN_EXPORTERS = {"otlp", "otlp_proto_http"}
ACCEPTED = range(200, 300)
SENDING_ERRORS = (UnansweredError, RedirectError, BodyTooLargeError, SettingsInvalidError, ImportError, ValueError)


class SpansRefusedError(Exception):
    """The spans cannot be encoded, or the collector cannot be reached, or refuses; the text says which."""


@dataclass(frozen=True)
class SpanExporter:
    """A collector, and how to send to it.

    Attributes:
        url: where traces are posted.
        headers: what it wants to be sent, such as a key.
        seconds: how long a request may take.
        protocol: what is spoken: `http/json`, or else Protocol Buffers over HTTP.
        environ: the variables of the resource.
        settings: the settings for the connection.
    """

    url: str
    headers: Mapping[str, str]
    seconds: float
    protocol: str
    environ: Mapping[str, str]
    settings: Settings

    @classmethod
    def of(cls, settings: Settings, log: RunLog) -> SpanExporter | None:
        """The exporter that the variables configure; None if they configure none over HTTP."""
        environ = settings.flow_environ
        base = settings.otlp_endpoint.rstrip("/")
        url = settings.otlp_traces_endpoint or (f"{base}/v1/traces" if base else "")
        if not url or "no-spans" in settings.record or _is_disabled(environ):
            return None
        if _speaks_grpc(url, environ):
            log.detail(f"no spans are sent to {url}: prefect-uv speaks OTLP over HTTP, not over gRPC")
            return None
        certificate = _exporter_variable(environ, "CERTIFICATE")
        reached = replace(settings, api_url=url, api_ca_file=certificate or settings.api_ca_file, api_insecure=False)
        headers = dict(_headers(_exporter_variable(environ, "HEADERS")))
        return cls(url, headers, _seconds(environ), _exporter_variable(environ, "PROTOCOL"), environ, reached)

    def export(self, document: Json, begins: Mapping[str, float], trace: TraceContext) -> None:
        """Send the spans of a start, unless its trace is not recorded.

        Args:
            document: the record.
            begins: when each phase began, by `time.perf_counter`.
            trace: where the spans belong.

        Raises:
            SpansRefusedError: the spans cannot be encoded, or the collector cannot be reached, or refuses.
        """
        if not trace.sampled:
            return
        spans = resource_spans(document, begins, trace, self.environ)
        try:
            checked_url(self.url)
            content_type, body = encoded_spans(spans, self.protocol)
            own = {"Content-Type": content_type, "User-Agent": f"prefect-uv/{__version__}"}
            request = ApiRequest("POST", "", body, own, self.headers)
            response = Transport(self.settings).send(request, RetryPolicy(1, self.seconds, 2 * self.seconds))
        except (
            UnansweredError,
            RedirectError,
            BodyTooLargeError,
            SettingsInvalidError,
            ImportError,
            ValueError,
        ) as error:
            message = f"{self.url}: {error}"
            raise SpansRefusedError(message) from None
        if response.status not in ACCEPTED:
            message = f"{self.url} answered {response.status}: {response.data[:200].decode(errors='replace')}"
            raise SpansRefusedError(message)


def _exporter_variable(environ: Mapping[str, str], name: str) -> str:
    """A variable of the exporter of traces, or else the one for everything that is exported."""
    return environ.get(f"{COLLECTOR_PREFIX}TRACES_{name}") or environ.get(f"{COLLECTOR_PREFIX}{name}", "")


def _is_disabled(environ: Mapping[str, str]) -> bool:
    exporters = {name.strip() for name in environ.get("OTEL_TRACES_EXPORTER", "").split(",") if name.strip()}
    off = bool(exporters) and not exporters & SPAN_EXPORTERS
    never = environ.get("OTEL_TRACES_SAMPLER", "") == "always_off"
    return off or never or environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def _speaks_grpc(url: str, environ: Mapping[str, str]) -> bool:
    """Whether the collector is to be spoken to by gRPC: that is said, or its port is gRPC's and nothing is said."""
    protocol = _exporter_variable(environ, "PROTOCOL")
    try:
        port = urlsplit(url).port
    except ValueError:
        port = None
    return protocol == "grpc" or (not protocol and port == GRPC_PORT)


def _headers(text: str) -> Iterator[tuple[str, str]]:
    """Headers in `name=value,…`, percent-encoded."""
    for header in text.split(","):
        name, separator, value = header.partition("=")
        if separator and name.strip():
            yield unquote(name.strip()), unquote(value.strip())


def _seconds(environ: Mapping[str, str]) -> float:
    """The time that a request may take, of which the variable has milliseconds."""
    try:
        return (
            max(1.0, min(float(_exporter_variable(environ, "TIMEOUT") or DEFAULT_MILLISECONDS), DEFAULT_MILLISECONDS))
            / 1000
        )
    except ValueError:
        return DEFAULT_MILLISECONDS / 1000
