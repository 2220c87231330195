"""Which collector the variables configure, and what its answers mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_uv.api.client import Json
from prefect_uv.log.mask import Mask
from prefect_uv.log.run_log import RunLog
from prefect_uv.record.span_exporter import SpanExporter, SpansRefusedError
from prefect_uv.record.trace_context import TraceContext
from prefect_uv.settings import Settings
from tests.unit.http_server import Answer, Server
from tests.unit.record.collector import attributes_of, decoded

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
RECORD: Json = {
    "outcome": "started",
    "command": "run",
    "error": None,
    "flow_run": {"id": "0c7a4b5e-1111-4222-8333-444455556666", "name": "brave-fox"},
    "deployment": None,
    "code": [],
    "project": None,
    "environment": {"key": "abc", "hit": True, "packages": 12},
    "image": {"name": "py313", "version": "1.0", "uv": "0.13.9", "reference": None, "digest": None},
    "host": "pod-1",
    "phases": {"read": 1.5, "ask": 20.25},
    "total": 21.75,
    "received": None,
}
BEGINS = {"read": 10.0, "ask": 10.002}
TRACE = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


def exporter(log: RunLog, **variables: str) -> SpanExporter | None:
    """The exporter that the variables configure."""
    return SpanExporter.of(Settings.from_environ(variables), log)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {ENDPOINT: "http://c:4318", "OTEL_TRACES_EXPORTER": "none"},
        {ENDPOINT: "http://c:4318", "OTEL_TRACES_EXPORTER": "console"},
        {ENDPOINT: "http://c:4318", "OTEL_SDK_DISABLED": "TRUE"},
        {ENDPOINT: "http://c:4318", "OTEL_TRACES_SAMPLER": "always_off"},
        {ENDPOINT: "http://c:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        {ENDPOINT: "http://c:4318", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"},
        {ENDPOINT: "http://c:4317"},
        {ENDPOINT: "http://c:4318", "PREFECT_UV_RECORD": "no-spans"},
    ],
)
def test_no_exporter_for_what_nobody_wants(log: RunLog, variables: dict[str, str]) -> None:
    """Nothing is sent without an endpoint, to one that speaks gRPC, or if the variables say so."""
    assert exporter(log, **variables) is None


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({ENDPOINT: "http://c:4318"}, "http://c:4318/v1/traces"),
        ({ENDPOINT: "http://c:4318/otlp/"}, "http://c:4318/otlp/v1/traces"),
        ({ENDPOINT: "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, "http://c:4317/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t/x"}, "http://t/x"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t/x", ENDPOINT: "http://c"}, "http://t/x"),
        ({ENDPOINT: "http://c:4318", "OTEL_TRACES_EXPORTER": "otlp,console"}, "http://c:4318/v1/traces"),
    ],
)
def test_url_of_the_collector(log: RunLog, variables: dict[str, str], url: str) -> None:
    """The general endpoint gets the path for traces, and their own is used as it is."""
    found = exporter(log, **variables)
    assert found is not None
    assert found.url == url


PROTOBUF, JSON = "application/x-protobuf", "application/json"


@pytest.mark.parametrize(
    ("protocol", "content_type"),
    [
        ({}, PROTOBUF),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, JSON),
        ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, JSON),
        ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, PROTOBUF),
    ],
)
def test_what_is_sent(log: RunLog, server: Server, protocol: dict[str, str], content_type: str) -> None:
    """OpenTelemetry's own definition understands what is sent, and the resource has what its variables say.

    The encoding is Protocol Buffers, unless the variables ask for JSON.
    """
    server.on("POST /api/v1/traces", Answer(200, {"partialSuccess": {}}))
    found = exporter(
        log,
        OTEL_EXPORTER_OTLP_ENDPOINT=server.url,
        OTEL_EXPORTER_OTLP_HEADERS="x-one=1, x-two=a%20b,broken",
        OTEL_EXPORTER_OTLP_TIMEOUT="soon",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=prod,service.name=ignored",
        OTEL_SERVICE_NAME="orders",
        **protocol,
    )
    assert found is not None
    found.export(RECORD, BEGINS, TRACE)
    (request,) = server.requests
    assert (request.headers["x-one"], request.headers["x-two"]) == ("1", "a b")
    assert request.headers["content-type"] == content_type
    (one,) = decoded(request).resource_spans
    resource = attributes_of(one.resource)
    assert (resource["service.name"], resource["deployment.environment.name"]) == ("orders", "prod")
    assert (resource["host.name"], resource["container.image.name"]) == ("pod-1", "py313")
    root, read, ask = one.scope_spans[0].spans
    assert {span.trace_id.hex() for span in (root, read, ask)} == {TRACE.trace}
    assert root.parent_span_id.hex() == TRACE.parent
    assert {span.parent_span_id for span in (read, ask)} == {root.span_id}
    assert {len(span.span_id) for span in (root, read, ask)} == {8}
    assert ask.end_time_unix_nano - ask.start_time_unix_nano == 20_250_000
    assert ask.start_time_unix_nano - read.start_time_unix_nano == 2_000_000
    assert (root.start_time_unix_nano, root.end_time_unix_nano) == (read.start_time_unix_nano, ask.end_time_unix_nano)
    assert root.status.code == root.status.STATUS_CODE_OK
    attributes = attributes_of(root)
    assert (attributes["prefect_uv.environment.hit"], attributes["prefect_uv.environment.packages"]) == (True, 12)
    assert "prefect.deployment.id" not in attributes


def test_collector_with_a_certificate_of_its_own(log: RunLog, tls_server: Server, certificates: Path) -> None:
    """OTEL_EXPORTER_OTLP_CERTIFICATE names the CA of the collector."""
    tls_server.on("POST /api/v1/traces", Answer(200, {}))
    url = tls_server.url
    found = exporter(log, OTEL_EXPORTER_OTLP_ENDPOINT=url, OTEL_EXPORTER_OTLP_CERTIFICATE=str(certificates / "ca.pem"))
    assert found is not None
    found.export(RECORD, BEGINS, TRACE)
    assert tls_server.requests[0].secure


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://127.0.0.1:9", "refused"),
        ("ftp://collector", "does not start with http"),
        ("http://[", "valid URL"),
        ("", "answered 415: no spans, please"),
    ],
)
def test_collector_that_takes_nothing(log: RunLog, server: Server, url: str, message: str) -> None:
    """Whatever is wrong with the collector is an error that says so."""
    server.on("POST /api/v1/traces", Answer(415, b"no spans, please"))
    found = exporter(log, OTEL_EXPORTER_OTLP_ENDPOINT=url or server.url)
    assert found is not None
    with pytest.raises(SpansRefusedError, match=message):
        found.export(RECORD, BEGINS, TRACE)


@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json"])
def test_record_that_cannot_be_encoded(log: RunLog, server: Server, protocol: str) -> None:
    """Text that is none of Unicode is an error that says so, in both encodings."""
    found = exporter(log, OTEL_EXPORTER_OTLP_ENDPOINT=server.url, OTEL_EXPORTER_OTLP_PROTOCOL=protocol)
    assert found is not None
    with pytest.raises(SpansRefusedError, match=r"(?i)surrogate"):
        found.export({**RECORD, "command": "\ud800"}, BEGINS, TRACE)
    assert server.requests == []


def test_headers_are_secrets(tmp_path: Path) -> None:
    """The values of the collector's headers are masked, in every form in which they may be shown."""
    mask = Mask()
    text = f"api-key=s3cret%2Fkey,{tmp_path.name}=Bearer%20hush-hush"
    mask.add(*Settings.from_environ({"OTEL_EXPORTER_OTLP_TRACES_HEADERS": text}).secrets())
    assert mask("s3cret/key s3cret%2Fkey hush-hush") == "**** **** ****"


@pytest.mark.parametrize(
    ("label", "found"),
    [
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", TRACE),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", TRACE._replace(sampled=False)),
        ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-the-future-will-be-like", TRACE),
        ("00-00000000000000000000000000000000-b7ad6b7169203331-01", None),
        ("nonsense", None),
        (7, None),
    ],
)
def test_trace_in_the_labels(label: object, found: TraceContext | None) -> None:
    """The label has the form that W3C describes; anything else is no trace."""
    assert TraceContext.of({"labels": {"__OTEL_TRACEPARENT": label}}) == found
    assert TraceContext.of({"labels": None}) is None
