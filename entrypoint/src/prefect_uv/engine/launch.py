"""The engine's command and environment.

`prefect.flow_engine` takes the flow's entrypoint from Prefect 3.7.0 on; before, `prefect.engine` reads it from
`PREFECT__FLOW_ENTRYPOINT` (`prefect/flow_engine.py`, `prefect/engine.py`).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from prefect_uv.errors import DeploymentNotFoundError, LaunchError, UsageError
from prefect_uv.project import Project
from prefect_uv.session import Session
from prefect_uv.settings import Settings
from prefect_uv.store import Environment

FLOW_ENGINE_SINCE = (3, 7)


@dataclass(frozen=True)
class Ready:
    """Code and environment, ready to run."""

    settings: Settings
    directory: Path
    project: Project
    environment: Environment
    entrypoint: str | None


@dataclass(frozen=True)
class Launch:
    """Everything that starts a process: command, environment, working directory, and the lease to inherit."""

    command: tuple[str, ...]
    environ: Mapping[str, str]
    directory: Path
    lease: int

    def start(self) -> subprocess.Popen[bytes]:
        """Start it in a session of its own, so that signals to our group do not reach it.

        Raises:
            LaunchError: when the program cannot be started.
        """
        try:
            return subprocess.Popen(
                self.command, env=self.environ, cwd=self.directory, pass_fds=(self.lease,), start_new_session=True
            )
        except OSError as error:
            raise LaunchError(f"{self.command[0]} could not be started.", str(error)) from None

    def replace(self) -> NoReturn:
        """Become it: nothing of ours is left to supervise it."""
        os.set_inheritable(self.lease, True)  # noqa: FBT003 (the standard library's signature)
        os.chdir(self.directory)
        os.execvpe(self.command[0], self.command, self.environ)  # noqa: S606


def launch_flow(session: Session, ready: Ready) -> Launch:
    """The launch of the flow; last look at the run's state, which may have changed while we pulled and built.

    Raises:
        Settled: the run was cancelled or finished meanwhile.
    """
    if session.flow_run is None or not ready.entrypoint:
        message = "The deployment has no entrypoint."
        raise DeploymentNotFoundError(message, hint="Deploy the flow again: Prefect writes its entrypoint down.")
    session.flow_run.refuse_when_settled(again=True)
    python = ["uv", "run", "--no-sync", "--project", str(ready.project.directory), "python"]
    if ready.settings.launcher == "python":
        python = [str(ready.environment.path / "bin" / "python")]
    engine = (
        ["prefect.flow_engine", ready.entrypoint] if _has_flow_engine(ready.environment.prefect) else ["prefect.engine"]
    )
    environ = {**_environ(ready), "PREFECT__FLOW_ENTRYPOINT": ready.entrypoint}
    return Launch((*python, "-m", *engine), environ, ready.directory, ready.environment.lease)


def launch_command(ready: Ready, arguments: Sequence[str]) -> Launch:
    """The launch of any command in the environment.

    Raises:
        UsageError: when there is none.
    """
    command = list(arguments[1:] if arguments[:1] == ["--"] else arguments)
    if not command:
        raise UsageError("`prefect-uv exec` has no command.", hint="prefect-uv exec -- COMMAND [ARGUMENT …]")
    return Launch(tuple(command), _environ(ready), ready.directory, ready.environment.lease)


def _environ(ready: Ready) -> dict[str, str]:
    """The caller's environment with the project's environment active, also for what the flow itself starts."""
    environ = dict(ready.settings.environ)
    environment = ready.environment.path
    python_path = [*map(str, ready.project.source_roots), environ.get("PYTHONPATH", "")]
    return environ | {
        "PATH": f"{environment / 'bin'}:{environ.get('PATH', os.defpath)}",
        "PYTHONPATH": ":".join(path for path in python_path if path),
        "UV_CACHE_DIR": str(ready.environment.uv_cache),
        "UV_NO_SYNC": "1",
        "UV_PROJECT_ENVIRONMENT": str(environment),
        "VIRTUAL_ENV": str(environment),
    }


def _has_flow_engine(version: str) -> bool:
    major, minor = (int(part) for part in version.split(".")[:2])
    return (major, minor) >= FLOW_ENGINE_SINCE
