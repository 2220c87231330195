"""How the flow is started and stopped."""

from __future__ import annotations

from dataclasses import dataclass

from prefect_uv.settings.declaration import setting
from prefect_uv.settings.parsers import boolean, choice, seconds, sigterm_behavior


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Launcher, supervision, cancellation, eviction."""

    launcher: str = setting(
        "PREFECT_UV_LAUNCHER",
        choice("uv", "python"),
        "uv",
        "Start the engine by `uv run` or by the environment's Python.",
    )
    supervise: bool = setting(
        "PREFECT_UV_SUPERVISE",
        boolean,
        True,
        "Stay as the engine's parent; `false` replaces the process by the engine.",
    )
    cancel_grace: float = setting(
        "PREFECT_UV_CANCEL_GRACE_SECONDS",
        seconds,
        30.0,
        "How long a cancelled or stopped flow may clean up before everything it started is killed.",
    )
    sigterm: str = setting(
        "PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR",
        sigterm_behavior,
        "",
        "What a SIGTERM to the container means: `reschedule` the run, `relinquish` it to the infrastructure's own"
        " retry; otherwise it is a crash. The Kubernetes worker sets it.",
    )
