"""The spans of a start, in the JSON encoding of OTLP: one for the start, and one below it for each phase.

OTLP 1.8: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding (ids in hexadecimal, 64-bit numbers as text)
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from prefect_uv import __version__
from prefect_uv.api.client import Json
from prefect_uv.record.trace_context import TraceContext

SERVICE = "prefect-uv"
INTERNAL_KIND = 1
OK_STATUS, ERROR_STATUS = 1, 2
NANOSECONDS = 1_000_000_000


def resource_spans(
    document: Json, begins: Mapping[str, float], trace: TraceContext, environ: Mapping[str, str]
) -> Json:
    """The request that exports a start.

    Args:
        document: the record.
        begins: when each phase began, by `time.perf_counter`.
        trace: where the spans belong.
        environ: the variables that describe the resource.
    """
    spans = [*_spans(document, begins, trace)]
    scope = {"scope": {"name": "prefect_uv", "version": __version__}, "spans": spans}
    resource = {"attributes": _attributes(_resource(document, environ))}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]}


def _spans(document: Json, begins: Mapping[str, float], trace: TraceContext) -> Iterator[Json]:
    offset = time.time_ns() - round(time.perf_counter() * NANOSECONDS)
    root = os.urandom(8).hex()
    times = {
        name: (offset + round(begins[name] * NANOSECONDS), round(milliseconds * 1e6))
        for name, milliseconds in document["phases"].items()
    }
    begin = min((begin for begin, _ in times.values()), default=time.time_ns())
    end = max((begin + duration for begin, duration in times.values()), default=begin)
    error = document["error"] or {}
    status = {"code": ERROR_STATUS, "message": error["headline"]} if error else {"code": OK_STATUS}
    yield {
        **_span(trace, root, trace.parent, "prefect-uv start", begin, end),
        "attributes": _attributes(_run_attributes(document)),
        "status": status,
    }
    last = max(times, key=lambda name: times[name][0], default="")
    for name, (phase_begin, duration) in times.items():
        span = _span(trace, os.urandom(8).hex(), root, f"prefect-uv {name}", phase_begin, phase_begin + duration)
        yield {**span, "status": status if error and name == last else {}}


def _span(trace: TraceContext, span: str, parent: str, name: str, begin: int, end: int) -> Json:  # noqa: PLR0913, PLR0917
    """A span; times are in nanoseconds since the epoch."""
    return {
        "traceId": trace.trace,
        "spanId": span,
        **({"parentSpanId": parent} if parent else {}),
        "name": name,
        "kind": INTERNAL_KIND,
        "startTimeUnixNano": str(begin),
        "endTimeUnixNano": str(end),
    }


def _run_attributes(document: Json) -> Json:
    """The attributes of the start; those of the run have Prefect's names."""
    run, deployment = document["flow_run"] or {}, document["deployment"] or {}
    environment, project = document["environment"] or {}, document["project"] or {}
    code = document["code"][-1] if document["code"] else {}
    return {
        "prefect.run.id": run.get("id"),
        "prefect.run.name": run.get("name"),
        "prefect.run.type": "flow",
        "prefect.deployment.id": deployment.get("id"),
        "prefect.deployment.name": deployment.get("name"),
        "vcs.repository.url.full": code.get("remote"),
        "vcs.ref.head.revision": code.get("commit"),
        "prefect_uv.command": document["command"],
        "prefect_uv.outcome": document["outcome"],
        "prefect_uv.project": project.get("name"),
        **{f"prefect_uv.environment.{name}": value for name, value in environment.items()},
        "prefect_uv.received": document["received"],
        "error.type": (document["error"] or {}).get("slug"),
    }


def _resource(document: Json, environ: Mapping[str, str]) -> Json:
    """What describes this process: OTEL_RESOURCE_ATTRIBUTES, and OTEL_SERVICE_NAME, which takes precedence."""
    image = document["image"]
    given = (pair.partition("=") for pair in environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","))
    named = {name.strip(): unquote(value.strip()) for name, separator, value in given if separator}
    own = {
        "service.name": SERVICE,
        "host.name": document["host"],
        "container.image.name": image["reference"] or image["name"],
        "prefect_uv.version": image["version"],
    }
    service = {"service.name": environ["OTEL_SERVICE_NAME"]} if environ.get("OTEL_SERVICE_NAME") else {}
    return {**own, **named, **service}


def _attributes(values: Mapping[str, Any]) -> list[Json]:
    """Attributes in the encoding of OTLP; those without a value are left out."""
    return [{"key": name, "value": _encoded(value)} for name, value in values.items() if value is not None]


def _encoded(value: Any) -> Json:
    if isinstance(value, bool):
        return {"boolValue": value}
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": str(value)}
