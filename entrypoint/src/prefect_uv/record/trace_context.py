"""The trace that the spans of a start belong to: that of the flow run, which Prefect keeps in the run's labels.

The label is there from the beginning if a traced flow created the run, or if an earlier attempt was traced. Otherwise
the engine, if its environment exports spans, begins a trace and writes the label when the flow begins.

Prefect 3.9.1, LABELS_TRACEPARENT_KEY: https://github.com/PrefectHQ/prefect/blob/3.9.1/src/prefect/telemetry/run_telemetry.py
W3C: https://www.w3.org/TR/trace-context/#traceparent-header-field-values
"""

from __future__ import annotations

import os
import re
import threading
import time
from typing import NamedTuple

from prefect_uv.api.client import ApiClient, Json
from prefect_uv.api.flow_run import FlowRun
from prefect_uv.api.json_api import NotFoundError
from prefect_uv.api.patience import RetryPolicy
from prefect_uv.errors import PrefectUvError

TRACE_LABEL = "__OTEL_TRACEPARENT"
TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
SAMPLED = 1
LOOKS_AFTER_SECONDS = (3.0, 10.0, 30.0, 60.0)
LOOK_POLICY = RetryPolicy(0, 3.0, 4.0)


class TraceContext(NamedTuple):
    """Where spans belong: a trace, the span above them (empty for none), and whether the trace is recorded at all."""

    trace: str
    parent: str
    sampled: bool = True

    @classmethod
    def new(cls) -> TraceContext:
        """A trace of our own."""
        return cls(os.urandom(16).hex(), "")

    @classmethod
    def of(cls, document: Json) -> TraceContext | None:
        """The trace in a flow run's labels; None if there is none."""
        labels = document.get("labels")
        label = labels.get(TRACE_LABEL) if isinstance(labels, dict) else None
        match = TRACEPARENT.fullmatch(label) if isinstance(label, str) else None
        if match is None or not int(match[1], 16) or not int(match[2], 16):
            return None
        return cls(match[1], match[2], bool(int(match[3], 16) & SAMPLED))


class TraceSearch:
    """Looks for the run's trace while its flow begins."""

    def __init__(self, api: ApiClient, flow_run: FlowRun, ended: threading.Event) -> None:
        """Begin.

        Args:
            api: the API.
            flow_run: the run as it was when it was read.
            ended: set when the run has ended, so that there is nothing more to wait for.
        """
        self._api = api
        self._flow_run = flow_run
        self._ended = ended

    def find(self) -> TraceContext:
        """The run's trace; one of our own if it has none after a minute, or at its end."""
        known = TraceContext.of(self._flow_run.document)
        begin = time.monotonic()
        for seconds in LOOKS_AFTER_SECONDS:
            if known:
                return known
            self._ended.wait(begin + seconds - time.monotonic())
            known = self._read()
            if self._ended.is_set():
                break
        return known or TraceContext.new()

    def _read(self) -> TraceContext | None:
        try:
            return TraceContext.of(self._api.flow_run(self._flow_run.id, LOOK_POLICY))
        except (PrefectUvError, NotFoundError):
            return None
