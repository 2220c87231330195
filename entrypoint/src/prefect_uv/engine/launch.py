"""The command and the environment of the engine, or of any other command in the flow's environment.

From Prefect 3.7.0 on, `python -m prefect.flow_engine` takes the flow's entrypoint as an argument; earlier versions have
`python -m prefect.engine`, which reads PREFECT__FLOW_ENTRYPOINT:
https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/flow_engine.py (`_main`, `load_flow`)
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from prefect_uv.api.flow_run import FlowRun
from prefect_uv.api.server_version import ServerVersion
from prefect_uv.engine.engine_version import EngineVersion
from prefect_uv.engine.start_up.early_engine import EarlyEngine
from prefect_uv.engine.start_up.engine_start import engine_script, launcher_command
from prefect_uv.environments import Environment, Maintenance
from prefect_uv.environments.import_path import import_variables, joined_paths
from prefect_uv.environments.uv.uv_command import DIRECTORY_VARIABLES
from prefect_uv.errors import DeploymentNotFoundError, LaunchError
from prefect_uv.processes.signals import STOP_SIGNALS, raise_noted_signal
from prefect_uv.project_code import FlowCode
from prefect_uv.pull import Checkout

PROGRAM_HINT = (
    "Neither the flow's environment nor the image has it. Select what installs it, such as `--group dev`; "
    "the project's own console scripts need `--install-project`."
)


@dataclass(frozen=True)
class PreparedFlow:
    """What the earlier phases prepared.

    Attributes:
        launcher: `uv` or `python`, by PREFECT_UV_LAUNCHER.
        checkout: the code, and the environment variables that the pull steps left.
        environment: the Python environment.
        code: where the project's own code is imported from.
        maintenance: what runs alongside the flow for the cache volume.
        entrypoint: the deployment's entrypoint; None without a flow run.
        wrapper: the command that starts the engine, by PREFECT_UV_ENGINE_WRAPPER; empty for none.
        import_bundle: whether the engine imports from the environment's import bundle, if there is one.
        early: an engine that was started before all of this was known; None if there is none.
        server_version: the version of the API's server; None if it was not asked for.
    """

    launcher: str
    checkout: Checkout
    environment: Environment
    code: FlowCode
    maintenance: Maintenance
    entrypoint: str | None
    wrapper: tuple[str, ...] = ()
    import_bundle: bool = False
    early: EarlyEngine | None = None
    server_version: ServerVersion | None = None


@dataclass(frozen=True)
class Launch:
    """Everything needed to start a process.

    Attributes:
        command: the program and its arguments.
        environ: its environment variables.
        directory: its working directory.
        leases: file descriptors that it inherits, so that the environment stays in use as long as it lives.
        python: the environment's interpreter.
        engine: what the environment's Prefect can do.
        wrapped: whether a wrapper starts the engine.
        arguments: the last ones of the command, which name what the engine runs.
        early: the process that has been started for it already; None if there is none.
    """

    command: tuple[str, ...]
    environ: Mapping[str, str]
    directory: Path
    leases: tuple[int, ...]
    python: str
    engine: EngineVersion
    wrapped: bool = False
    arguments: tuple[str, ...] = ()
    early: EarlyEngine | None = None

    def start(self, environ: Mapping[str, str], stderr: int | None = None) -> subprocess.Popen[bytes]:
        """Start the process in its own session, with additional environment variables.

        Raises:
            LaunchError: the program cannot be started.
        """
        if self.early and (process := self.early.hand_over(self, environ)):
            return process
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
            missing = isinstance(error, FileNotFoundError) and error.filename == self.command[0]
            raise LaunchError(
                f"{self.command[0]} could not be started.", str(error), PROGRAM_HINT if missing else ""
            ) from None

    def replace(self) -> NoReturn:
        """Replace this process by the command; nothing is left to supervise it, and a signal to stop kills it.

        CPython ignores SIGPIPE and SIGXFSZ, so both get their defaults back, as `restore_signals` of subprocess does:
        https://docs.python.org/3/library/subprocess.html#subprocess.Popen
        """
        for lease in self.leases:
            os.set_inheritable(lease, True)  # noqa: FBT003 (the standard library's signature)
        for signum in (*STOP_SIGNALS, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(signum, signal.SIG_DFL)
        raise_noted_signal()
        os.chdir(self.directory)
        os.execvpe(self.command[0], self.command, self.environ)  # noqa: S606


def launch_flow(flow_run: FlowRun | None, prepared: PreparedFlow) -> Launch:
    """Launch the flow, unless the run's state changed while the code was pulled and the environment built.

    Raises:
        AlreadyOver: the run was cancelled, or has ended.
        DeploymentNotFoundError: the deployment has no entrypoint.
        WrapperMissingError: the wrapper's program does not exist.
    """
    if flow_run is None or not prepared.entrypoint:
        message = "The deployment has no entrypoint."
        raise DeploymentNotFoundError(message, hint="Deploy the flow again: `prefect deploy` records its entrypoint.")
    has_flow_engine = EngineVersion.of(prepared.environment.prefect).has_flow_engine
    module = ["prefect.flow_engine", prepared.entrypoint] if has_flow_engine else ["prefect.engine"]
    return launch_engine(flow_run, prepared, module)


def launch_engine(
    flow_run: FlowRun, prepared: PreparedFlow, arguments: Sequence[str], environ: Mapping[str, str] | None = None
) -> Launch:
    """Launch an engine: Python with a module or a file and its arguments, by the launcher, and the wrapper if any.

    Raises:
        AlreadyOver: the run was cancelled, or has ended.
        WrapperMissingError: the wrapper's program does not exist.
    """
    flow_run.refuse_when_over(again=True)
    launcher = _launcher(prepared)
    if prepared.wrapper:
        from prefect_uv.engine.wrapper import wrapped  # noqa: PLC0415 (few runs have a wrapper)

        launcher = wrapped(launcher, prepared.wrapper, prepared.environment.path, _flow_environ(prepared))
    variables = {**(environ or {}), "PREFECT__FLOW_ENTRYPOINT": prepared.entrypoint or ""}
    if prepared.server_version:
        variables |= prepared.server_version.variables(prepared.environment.prefect, prepared.checkout.environ)
    script = engine_script(str(prepared.environment.path), import_bundle=prepared.import_bundle)
    launch = _launch(prepared, [*launcher, *script, *arguments], variables)
    return replace(launch, wrapped=bool(prepared.wrapper), arguments=tuple(arguments), early=prepared.early)


def launch_command(prepared: PreparedFlow, command: Sequence[str]) -> Launch:
    """Launch any command in the environment."""
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
    """The environment's Python, started as the settings say, if `uv run` can have a cache directory of its own."""
    run_cache = prepared.environment.run_cache if prepared.launcher == "uv" else None
    return launcher_command(str(prepared.environment.path), str(run_cache or ""))


def _flow_environ(prepared: PreparedFlow) -> dict[str, str]:
    """The caller's environment variables with the project's environment active, also for what the flow starts.

    Other runs share the environment, so uv, started by the flow, must not change it:

    - `uv run` uses it as it is: UV_NO_PROJECT makes it take VIRTUAL_ENV, and UV_PYTHON makes sure that the interpreter
      fits (uv 0.13.8: https://docs.astral.sh/uv/reference/environment/#uv_no_project).
    - `uv sync` and `uv add` create `.venv` in the project.
    - `uv pip` refuses: UV_SYSTEM_PYTHON sends it to the system's Python, which is marked as externally managed.
      https://packaging.python.org/en/latest/specifications/externally-managed-environments/

    Variables that would lead uv to another project or directory are removed.
    """
    environ = {name: value for name, value in prepared.checkout.environ.items() if name not in DIRECTORY_VARIABLES}
    environment = prepared.environment.path
    uv_cache = prepared.environment.uv_cache
    if uv_cache is None:
        environ |= {"PYTHONDONTWRITEBYTECODE": "1", "UV_NO_CACHE": "1"}
    else:
        environ["UV_CACHE_DIR"] = str(uv_cache)
    return environ | {
        **import_variables(environment, prepared.code.import_path, environ.get("PYTHONPATH", "")),
        "PATH": joined_paths((*prepared.code.script_directories, environment / "bin"), environ.get("PATH", os.defpath)),
        "UV_NO_PROJECT": "1",
        "UV_PYTHON": prepared.environment.python_version,
        "UV_SYSTEM_PYTHON": "1",
        "VIRTUAL_ENV": str(environment),
    }
