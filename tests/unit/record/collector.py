"""Spans as a collector understands them: OpenTelemetry's own definition of the protocol decodes what was posted."""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.unit.http_server import Request


def decoded(request: Request) -> Any:
    """The message in a request; a field that the protocol does not have is an error.

    OTLP writes ids in hexadecimal where Protocol Buffers' JSON has base64, so those are compared as text:
    https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
    """
    assert request.headers["content-type"] == "application/json"
    return Parse(request.body, ExportTraceServiceRequest())


def spans_of(request: Request) -> list[Any]:
    """All spans in a request."""
    return [span for one in decoded(request).resource_spans for scope in one.scope_spans for span in scope.spans]


def attributes_of(item: Any) -> dict[str, Any]:
    """The attributes of a span or a resource."""
    return {pair.key: getattr(pair.value, str(pair.value.WhichOneof("value"))) for pair in item.attributes}
