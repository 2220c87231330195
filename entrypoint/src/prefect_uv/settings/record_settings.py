"""Settings for the record of a start: where it goes."""

from __future__ import annotations

from dataclasses import dataclass

from prefect_uv.settings.declaration import setting
from prefect_uv.settings.parsers import record_places


@dataclass(frozen=True, kw_only=True)
class RecordSettings:
    """Where the record of a start goes; by default nowhere."""

    record: tuple[str, ...] = setting(
        "PREFECT_UV_RECORD",
        record_places,
        (),
        "Where the record of a start goes, separated by commas: `stderr`, `artifact` (on the run's page), or paths of"
        " files, such as `/dev/termination-log`; a path that ends in `/` is a directory with a file for each run."
        " `no-spans` sends no spans, whatever the next two say.",
    )
    # OpenTelemetry 1.50: https://opentelemetry.io/docs/specs/otel/protocol/exporter/
    otlp_endpoint: str = setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        str,
        "",
        "URL of an OpenTelemetry collector that speaks OTLP over HTTP, such as `http://collector:4318`: gets the phases"
        " of the start as spans of the run's trace.",
    )
    otlp_traces_endpoint: str = setting(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        str,
        "",
        "The same for traces alone: the whole URL, such as `http://collector:4318/v1/traces`.",
    )

    @property
    def is_recorded(self) -> bool:
        """Whether the record of a start goes anywhere."""
        return bool(self.record or self.otlp_endpoint or self.otlp_traces_endpoint)
