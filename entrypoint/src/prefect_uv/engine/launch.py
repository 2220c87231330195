"""The engine's command and environment.

`prefect.flow_engine` takes the flow's entrypoint from Prefect 3.7.0 on; before, `prefect.engine` reads it from
`PREFECT__FLOW_ENTRYPOINT` (`prefect/flow_engine.py`, `prefect/engine.py`).
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from prefect_uv.api.flow_run import FlowRun
from prefect_uv.engine.engine_version import EngineVersion
from prefect_uv.environments import Environment, Maintenance
from prefect_uv.environments.uv.uv_command import DIRECTORY_VARIABLES
from prefect_uv.errors import DeploymentNotFoundError, LaunchError, UsageError
from prefect_uv.project_code import FlowCode
from prefect_uv.pull import Checkout

RUN_MODULE = Path(__file__).with_name("_run_module.py")


@dataclass(frozen=True)
class PreparedFlow:
    """What the phases before have found and made; without a flow run there is no entrypoint."""

    launcher: str
    checkout: Checkout
    environment: Environment
    code: FlowCode
    maintenance: Maintenance
    entrypoint: str | None


@dataclass(frozen=True)
class Launch:
    """Everything that starts a process: command, environment, working directory, and the leases to inherit.

    `python` is the environment's interpreter, `engine` what its Prefect can do.
    """

    command: tuple[str, ...]
    environ: Mapping[str, str]
    directory: Path
    leases: tuple[int, ...]
    python: str
    engine: EngineVersion

    def start(self, environ: Mapping[str, str], stderr: int | None = None) -> subprocess.Popen[bytes]:
        """Start it in a session of its own, with more variables.

        Raises:
            LaunchError: when the program cannot be started.
        """
        try:
            return subprocess.Popen(
                self.command,
                env={**self.environ, **environ},
                cwd=self.directory,
                pass_fds=self.leases,
                start_new_session=True,
                stderr=stderr,
            )
        except OSError as error:
            raise LaunchError(f"{self.command[0]} could not be started.", str(error)) from None

    def replace(self) -> NoReturn:
        """Become it: nothing of ours is left to supervise it."""
        for lease in self.leases:
            os.set_inheritable(lease, True)  # noqa: FBT003 (the standard library's signature)
        for signum in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(signum, signal.SIG_DFL)
        os.chdir(self.directory)
        os.execvpe(self.command[0], self.command, self.environ)  # noqa: S606


def launch_flow(flow_run: FlowRun | None, prepared: PreparedFlow) -> Launch:
    """The launch of the flow; last look at the run's state, which may have changed while we pulled and built.

    Raises:
        AlreadyOver: the run was cancelled or finished meanwhile.
    """
    if flow_run is None or not prepared.entrypoint:
        message = "The deployment has no entrypoint."
        raise DeploymentNotFoundError(message, hint="Deploy the flow again: Prefect writes its entrypoint down.")
    flow_run.refuse_when_over(again=True)
    has_flow_engine = EngineVersion.of(prepared.environment.prefect).has_flow_engine
    module = ["prefect.flow_engine", prepared.entrypoint] if has_flow_engine else ["prefect.engine"]
    return _launch(
        prepared, [*_launcher(prepared), str(RUN_MODULE), *module], {"PREFECT__FLOW_ENTRYPOINT": prepared.entrypoint}
    )


def launch_command(prepared: PreparedFlow, arguments: Sequence[str]) -> Launch:
    """The launch of any command in the environment.

    Raises:
        UsageError: when there is none.
    """
    command = list(arguments[1:] if arguments[:1] == ["--"] else arguments)
    if not command:
        raise UsageError("`prefect-uv exec` has no command.", hint="prefect-uv exec -- COMMAND [ARGUMENT …]")
    return _launch(prepared, command, {})


def _launch(prepared: PreparedFlow, command: Sequence[str], environ: Mapping[str, str]) -> Launch:
    python = prepared.environment.path / "bin" / "python"
    if not python.exists():
        raise LaunchError(
            f"Environment {prepared.environment.key[:12]} has no Python.",
            f"{python} leads to {python.resolve()}, which does not exist.",
            "Run `prefect-uv cache prune --all` on the volume: the image that built it had another interpreter.",
        )
    engine = EngineVersion.of(prepared.environment.prefect)
    variables = {**_flow_environ(prepared), **environ}
    leases = (prepared.environment.lease,)
    return Launch(tuple(command), variables, prepared.checkout.directory, leases, str(python), engine)


def _launcher(prepared: PreparedFlow) -> list[str]:
    """The environment's Python by `uv run`, where that has a cache of its own: its lock keeps the shared one in use.

    The Python is named, because a `.python-version` may ask for another (uv 0.13.8).
    """
    python, cache = str(prepared.environment.path / "bin" / "python"), prepared.environment.run_cache
    if prepared.launcher == "python" or cache is None:
        return [python]
    return ["uv", "--quiet", "--cache-dir", str(cache), "run", "--no-project", "--python", python, "python"]


def _flow_environ(prepared: PreparedFlow) -> dict[str, str]:
    """The caller's environment with the project's environment active, also for what the flow itself starts.

    Other runs share that environment. `uv run` in the flow takes it as it is: without a project by VIRTUAL_ENV, if it
    is content with its Python, which UV_PYTHON makes sure of. `uv sync` and `uv add` make `.venv` in the project, and
    `uv pip` leaves the environment alone: told to use the system's Python, it refuses to change that (uv 0.13.8). No
    variable leads any of them to another project or directory.
    """
    environ = {name: value for name, value in prepared.checkout.environ.items() if name not in DIRECTORY_VARIABLES}
    environment = prepared.environment.path
    uv_cache = prepared.environment.uv_cache
    if uv_cache is None:
        environ |= {"PYTHONDONTWRITEBYTECODE": "1", "UV_NO_CACHE": "1"}
    else:
        environ["UV_CACHE_DIR"] = str(uv_cache)
    return environ | {
        "PATH": _joined((*prepared.code.programs, environment / "bin"), environ.get("PATH", os.defpath)),
        "PYTHONPATH": _joined(prepared.code.import_path, environ.get("PYTHONPATH", "")),
        "UV_NO_PROJECT": "1",
        "UV_PYTHON": prepared.environment.python_version,
        "UV_SYSTEM_PYTHON": "1",
        "VIRTUAL_ENV": str(environment),
    }


def _joined(first: Sequence[Path], rest: str) -> str:
    return os.pathsep.join([*map(str, first), *filter(None, [rest])])
