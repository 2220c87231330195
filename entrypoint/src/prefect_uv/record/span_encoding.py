"""The two encodings of OTLP over HTTP, Protocol Buffers and JSON.

OTLP 1.8: https://opentelemetry.io/docs/specs/otlp/#otlphttp-request
"""

from __future__ import annotations

import base64
import json

from prefect_uv.api.client import Json

JSON_PROTOCOL = "http/json"
ID_FIELDS = ("traceId", "spanId", "parentSpanId")


def encoded_spans(request: Json, protocol: str) -> tuple[str, bytes]:
    """The spans as the body of a request.

    Args:
        request: the request in OTLP's JSON encoding.
        protocol: `http/json`; whatever else is asked for gets Protocol Buffers, as by default.

    Returns:
        The content type and the body.

    Raises:
        ImportError: Protocol Buffers are not there in the implementation that the container's variable asks for.
        ValueError: that variable makes no sense, or a text is none of Unicode.
    """
    if protocol == JSON_PROTOCOL:
        return "application/json", json.dumps(request, ensure_ascii=False).encode()
    return "application/x-protobuf", _protobuf(request)


def _protobuf(request: Json) -> bytes:
    # protobuf 7.36 reads PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION, and cannot be imported if that is `cpp` or unknown.
    from google.protobuf.json_format import ParseDict, ParseError  # noqa: PLC0415 (only the thread that sends spans)
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest  # noqa: PLC0415

    try:
        message: bytes = ParseDict(_with_base64_ids(request), ExportTraceServiceRequest()).SerializeToString()
    except ParseError as error:
        raise ValueError(str(error)) from None
    return message


def _with_base64_ids(request: Json) -> Json:
    """The request in Protocol Buffers' own JSON: it has ids in base64, where OTLP's has them in hexadecimal."""
    return {
        "resourceSpans": [
            {
                **resource,
                "scopeSpans": [
                    {**scope, "spans": [_with_base64_id(span) for span in scope["spans"]]}
                    for scope in resource["scopeSpans"]
                ],
            }
            for resource in request["resourceSpans"]
        ]
    }


def _with_base64_id(span: Json) -> Json:
    ids = {name: base64.b64encode(bytes.fromhex(span[name])).decode() for name in ID_FIELDS if name in span}
    return {**span, **ids}
