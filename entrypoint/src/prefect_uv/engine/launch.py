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

from prefect_uv.code import Code
from prefect_uv.engine.version import Engine
from prefect_uv.errors import DeploymentNotFoundError, LaunchError, UsageError
from prefect_uv.pull import Workspace
from prefect_uv.session import Session
from prefect_uv.settings import Settings
from prefect_uv.store import Environment, Keeper
from prefect_uv.store.uv import ELSEWHERE

START = Path(__file__).with_name("_start.py")


@dataclass(frozen=True)
class Ready:
    """What the phases before have found and made; without a flow run there is no entrypoint."""

    settings: Settings
    workspace: Workspace
    environment: Environment
    code: Code
    keeper: Keeper
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
    engine: Engine

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


def launch_flow(session: Session, ready: Ready) -> Launch:
    """The launch of the flow; last look at the run's state, which may have changed while we pulled and built.

    Raises:
        Settled: the run was cancelled or finished meanwhile.
    """
    if session.flow_run is None or not ready.entrypoint:
        message = "The deployment has no entrypoint."
        raise DeploymentNotFoundError(message, hint="Deploy the flow again: Prefect writes its entrypoint down.")
    session.flow_run.refuse_when_settled(again=True)
    has_flow_engine = Engine.of(ready.environment.prefect).has_flow_engine
    module = ["prefect.flow_engine", ready.entrypoint] if has_flow_engine else ["prefect.engine"]
    return _launch(ready, [*_launcher(ready), str(START), *module], {"PREFECT__FLOW_ENTRYPOINT": ready.entrypoint})


def launch_command(ready: Ready, arguments: Sequence[str]) -> Launch:
    """The launch of any command in the environment.

    Raises:
        UsageError: when there is none.
    """
    command = list(arguments[1:] if arguments[:1] == ["--"] else arguments)
    if not command:
        raise UsageError("`prefect-uv exec` has no command.", hint="prefect-uv exec -- COMMAND [ARGUMENT …]")
    return _launch(ready, command, {})


def _launch(ready: Ready, command: Sequence[str], environ: Mapping[str, str]) -> Launch:
    python = ready.environment.path / "bin" / "python"
    if not python.exists():
        raise LaunchError(
            f"Environment {ready.environment.key[:12]} has no Python.",
            f"{python} leads to {python.resolve()}, which does not exist.",
            "Run `prefect-uv cache prune --all` on the volume: the image that built it had another interpreter.",
        )
    engine = Engine.of(ready.environment.prefect)
    variables = {**_environ(ready), **environ}
    leases = (ready.environment.lease,)
    return Launch(tuple(command), variables, ready.workspace.directory, leases, str(python), engine)


def _launcher(ready: Ready) -> list[str]:
    """The environment's Python by `uv run`, where that has a cache of its own: its lock keeps the shared one in use.

    The Python is named, because a `.python-version` may ask for another (uv 0.13.8).
    """
    python, cache = str(ready.environment.path / "bin" / "python"), ready.environment.run_cache
    if ready.settings.launcher == "python" or cache is None:
        return [python]
    return ["uv", "--quiet", "--cache-dir", str(cache), "run", "--no-project", "--python", python, "python"]


def _environ(ready: Ready) -> dict[str, str]:
    """The caller's environment with the project's environment active, also for what the flow itself starts.

    Other runs share that environment. `uv run` in the flow takes it as it is: without a project by VIRTUAL_ENV, if it
    is content with its Python, which UV_PYTHON makes sure of. `uv sync` and `uv add` make `.venv` in the project, and
    `uv pip` leaves the environment alone: told to use the system's Python, it refuses to change that (uv 0.13.8). No
    variable leads any of them to another project or directory.
    """
    environ = {name: value for name, value in ready.workspace.environ.items() if name not in ELSEWHERE}
    environment = ready.environment.path
    uv_cache = ready.environment.uv_cache
    if uv_cache is None:
        environ |= {"PYTHONDONTWRITEBYTECODE": "1", "UV_NO_CACHE": "1"}
    else:
        environ["UV_CACHE_DIR"] = str(uv_cache)
    return environ | {
        "PATH": _joined((*ready.code.programs, environment / "bin"), environ.get("PATH", os.defpath)),
        "PYTHONPATH": _joined(ready.code.import_path, environ.get("PYTHONPATH", "")),
        "UV_NO_PROJECT": "1",
        "UV_PYTHON": ready.environment.python_version,
        "UV_SYSTEM_PYTHON": "1",
        "VIRTUAL_ENV": str(environment),
    }


def _joined(first: Sequence[Path], rest: str) -> str:
    return os.pathsep.join([*map(str, first), *filter(None, [rest])])
