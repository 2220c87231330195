"""Settings for starting, supervising and stopping the flow, and for the record of its start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prefect_uv.settings.declaration import setting
from prefect_uv.settings.parsers import behavior_on_sigterm, boolean, choice, record_places, seconds, words


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How the engine is launched, what happens on cancellation and eviction, and where a start is recorded."""

    launcher: str = setting(
        "PREFECT_UV_LAUNCHER",
        choice("uv", "python"),
        "uv",
        "Start the engine with `uv run` (`uv`), or directly with the environment's Python (`python`).",
    )
    engine_wrapper: tuple[str, ...] = setting(
        "PREFECT_UV_ENGINE_WRAPPER",
        words,
        (),
        "Command to start the engine with, such as `opentelemetry-instrument`, `ddtrace-run` or `python -m debugpy"
        " --listen 0.0.0.0:5678`.",
    )
    early_engine: bool = setting(
        "PREFECT_UV_EARLY_ENGINE",
        boolean,
        True,
        "While the API and git are waited for, let an engine import Prefect in the environment that the deployment used"
        " last; the run gets it if the environment is the same, and there are at least two processors.",
    )
    import_bundle: bool = setting(
        "PREFECT_UV_IMPORT_BUNDLE",
        boolean,
        True,
        "Let engines import the environment's modules from one file, which runs before have left next to it.",
    )
    supervise: bool = setting(
        "PREFECT_UV_SUPERVISE",
        boolean,
        True,
        "Stay as the engine's parent and handle cancellation and crashes; `false` lets the engine replace the process.",
    )
    cancel_grace: float = setting(
        "PREFECT_UV_CANCEL_GRACE_SECONDS",
        seconds,
        30.0,
        "Seconds that a cancelled or stopped flow has to clean up before everything it started is killed.",
    )
    # prefect-kubernetes: https://github.com/PrefectHQ/prefect/pull/19223
    sigterm_behavior: str = setting(
        "PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR",
        behavior_on_sigterm,
        "",
        "What to do on a SIGTERM to the container: `reschedule` the run, or `relinquish` it to the infrastructure's own"
        " retry; otherwise the run crashes. The Kubernetes worker sets it.",
    )
    handover_dir: Path = setting(
        "PREFECT_UV_HANDOVER_DIR",
        Path,
        Path("/handover"),
        "Directory that an init container and the main container share: if it exists, the one pulls the code into it,"
        " and the other uses it.",
    )
    verbose: bool = setting(
        "PREFECT_UV_VERBOSE",
        boolean,
        False,
        "Log the details of a start too: each pull step, and each command of git and uv.",
    )
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
