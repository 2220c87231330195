"""Spans as a collector understands them: OpenTelemetry's own definition of the protocol decodes what was posted."""

from __future__ import annotations

import base64
from typing import Any

from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.unit.http_server import Request


def decoded(request: Request) -> Any:
    """The message in a request, in either encoding; a field that the protocol does not have is an error.

    In JSON, OTLP writes ids in hexadecimal where Protocol Buffers have base64, so those are read once more:
    https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
    """
    message = ExportTraceServiceRequest()
    if request.headers["content-type"] == "application/x-protobuf":
        message.ParseFromString(request.body)
        assert message.SerializeToString() == request.body
        return message
    assert request.headers["content-type"] == "application/json"
    Parse(request.body, message)
    for span in _spans(message):
        span.trace_id, span.span_id = _read_again(span.trace_id), _read_again(span.span_id)
        span.parent_span_id = _read_again(span.parent_span_id)
    return message


def spans_of(request: Request) -> list[Any]:
    """All spans in a request."""
    return _spans(decoded(request))


def attributes_of(item: Any) -> dict[str, Any]:
    """The attributes of a span or a resource."""
    return {pair.key: getattr(pair.value, str(pair.value.WhichOneof("value"))) for pair in item.attributes}


def _spans(message: Any) -> list[Any]:
    return [span for one in message.resource_spans for scope in one.scope_spans for span in scope.spans]


def _read_again(value: bytes) -> bytes:
    """What was meant by hexadecimal text that has been read as base64."""
    return bytes.fromhex(base64.b64encode(value).decode())
