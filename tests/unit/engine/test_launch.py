"""The command and the environment of the engine."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from images.family import ROOT
from prefect_uv.api.client import ApiClient
from prefect_uv.api.flow_run import AlreadyOver, FlowRun
from prefect_uv.api.server_version import ServerVersion
from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.engine.engine_version import EngineVersion
from prefect_uv.engine.launch import Launch, PreparedFlow, launch_command, launch_flow
from prefect_uv.engine.start_up.engine_start import RUN_MODULE
from prefect_uv.environments import Environment, Maintenance
from prefect_uv.environments.import_path import add_hook
from prefect_uv.environments.published_environments import PublishedEnvironments
from prefect_uv.errors import LaunchError, SettingsInvalidError, WrapperMissingError
from prefect_uv.log.mask import Mask
from prefect_uv.log.run_log import RunLog
from prefect_uv.project_code import FlowCode
from prefect_uv.pull import Checkout
from prefect_uv.session import Session
from prefect_uv.settings.tool_variables import VERSION_CHECK
from tests.unit.conftest import MakeSettings
from tests.unit.http_server import Answer, Server

RUN = "0c7a4b5e-1111-4222-8333-444455556666"
CODE = Path("/code/etl")
ENVIRONMENT = Path(sys.prefix)
PYTHON = str(ENVIRONMENT / "bin" / "python")
TRACER = """
import runpy, sys
print("tracer", *sys.argv[1:3])
del sys.argv[:3]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
ELSEWHERE = dict.fromkeys(("UV_PROJECT", "UV_WORKING_DIR", "UV_WORKING_DIRECTORY"), "/nowhere")


def ready(make_settings: MakeSettings, prefect: str = "3.8.8", **variables: str) -> PreparedFlow:
    """A prepared flow whose code and environment do not exist."""
    environment = Environment(
        ENVIRONMENT,
        "abc",
        hit=True,
        prefect=prefect,
        python_version=platform.python_version(),
        uv_cache=Path("/cache/uv-0.13"),
        run_cache=ENVIRONMENT / ".uv",
        lease=0,
    )
    published = PublishedEnvironments(CacheDirectory(Path("/cache"), (), Path("/cache/uv-0.13")))
    maintenance = Maintenance(published, make_settings(variables), RunLog(Mask()), environment, (0,))
    roots = (CODE / "src", Path("/code/lib"))
    code = FlowCode((*roots, Path("/tmp/metadata")), (Path("/tmp/installed/bin"),))
    settings = make_settings(variables)
    checkout = Checkout(CODE, CODE / "flows", settings.flow_environ)
    wrapper = settings.engine_wrapper
    return PreparedFlow(settings.launcher, checkout, environment, code, maintenance, "flow.py:main", wrapper)


@pytest.fixture
def session(server: Server, make_settings: MakeSettings, log: RunLog) -> Session:
    """A session with a flow run that may start."""
    run = {"id": RUN, "name": "brave-fox", "state": {"type": "PENDING"}}
    server.on(f"GET /api/flow_runs/{RUN}", Answer(body=run))
    settings = make_settings(PREFECT__FLOW_RUN_ID=RUN)
    return Session(settings, log, flow_run=FlowRun(ApiClient(settings), RUN))


@pytest.mark.parametrize("prefect", ["3.7.0", "3.8.8", "3.10.1", "4.0.0", "3.7.0rc1"])
def test_flow_engine(session: Session, make_settings: MakeSettings, prefect: str) -> None:
    """From Prefect 3.7 on, the flow engine takes the entrypoint as an argument."""
    launch = launch_flow(session.flow_run, ready(make_settings, prefect))
    uv = ("uv", "--quiet", "--cache-dir", str(ENVIRONMENT / ".uv"), "run", "--no-project")
    assert launch.command == (*uv, "--python", PYTHON, "python", str(RUN_MODULE), "prefect.flow_engine", "flow.py:main")


@pytest.mark.parametrize("prefect", ["3.6.24", "3.0.0", "3.1"])
def test_older_engine(session: Session, make_settings: MakeSettings, prefect: str) -> None:
    """Before 3.7, the engine reads the entrypoint from an environment variable."""
    launch = launch_flow(session.flow_run, ready(make_settings, prefect))
    assert launch.command[-2:] == (str(RUN_MODULE), "prefect.engine")
    assert launch.environ["PREFECT__FLOW_ENTRYPOINT"] == "flow.py:main"


def test_python_launcher(session: Session, make_settings: MakeSettings) -> None:
    """PREFECT_UV_LAUNCHER=python starts the environment's Python without uv."""
    launch = launch_flow(session.flow_run, ready(make_settings, PREFECT_UV_LAUNCHER="python"))
    assert launch.command == (f"{ENVIRONMENT}/bin/python", str(RUN_MODULE), "prefect.flow_engine", "flow.py:main")


def test_environment_is_active(session: Session, make_settings: MakeSettings) -> None:
    """The engine gets another PATH, import path and uv settings; all other variables are unchanged."""
    flow = ready(make_settings, PYTHONPATH="/extra", PREFECT_API_KEY="pnu_key", MY_OWN="kept")
    launch = launch_flow(session.flow_run, flow)
    assert launch.environ["PATH"] == f"/tmp/installed/bin:{ENVIRONMENT}/bin:{os.environ['PATH']}"
    assert launch.environ["PYTHONPATH"] == f"{CODE}/src:/code/lib:/tmp/metadata:/extra"
    assert launch.environ["UV_PYTHON"] == platform.python_version()
    assert launch.environ["VIRTUAL_ENV"] == str(ENVIRONMENT)
    assert (launch.environ["UV_NO_PROJECT"], launch.environ["UV_SYSTEM_PYTHON"]) == ("1", "1")
    assert launch.environ["UV_CACHE_DIR"] == "/cache/uv-0.13"
    assert (launch.environ["PREFECT_API_KEY"], launch.environ["MY_OWN"]) == ("pnu_key", "kept")
    assert launch.directory == CODE / "flows"


@pytest.mark.parametrize("writable", [True, False])
def test_variables_are_documented(
    server: Server, session: Session, make_settings: MakeSettings, *, writable: bool
) -> None:
    """Every variable that is set for the flow is in docs/reference/settings.md."""
    server.on("GET /api/admin/version", Answer(body="3.8.8"))
    flow = replace(ready(make_settings), server_version=ServerVersion(ApiClient(make_settings())))
    flow = flow if writable else replace(flow, environment=replace(flow.environment, run_cache=None, uv_cache=None))
    given = flow.checkout.environ
    changed = {name for name, value in launch_flow(session.flow_run, flow).environ.items() if given.get(name) != value}
    _, _, page = (ROOT / "docs" / "reference" / "settings.md").read_text().partition("### Set by prefect-uv")
    assert VERSION_CHECK in changed
    assert changed <= set(re.findall(r"`(\w+)`", page.partition("For uv while")[0]))


@pytest.fixture
def elsewhere(make_settings: MakeSettings, tmp_path: Path) -> Callable[..., PreparedFlow]:
    """Return a function that prepares a flow in a project that requests a Python that does not exist."""
    (tmp_path / "prefect").mkdir()
    (tmp_path / "prefect" / "__init__.py").touch()
    (tmp_path / "prefect" / "flow_engine.py").write_text("import sys; print(sys.prefix, *sys.argv[1:])")
    (tmp_path / "tracer.py").write_text(TRACER)
    (tmp_path / ".python-version").write_text("3.99")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "etl"\nversion = "1"\nrequires-python = ">=3.99"\n')

    def make(**variables: str) -> PreparedFlow:
        flow = ready(make_settings, UV_PYTHON="3.98", **{**ELSEWHERE, **variables})
        return replace(
            flow,
            checkout=replace(flow.checkout, directory=tmp_path),
            environment=replace(flow.environment, uv_cache=tmp_path / "uv", run_cache=tmp_path / "run"),
            code=FlowCode((tmp_path,)),
        )

    return make


def run_launch(launch: Launch) -> tuple[int, str, str]:
    """Run a command as launched, and return its exit code, stdout and stderr."""
    done = subprocess.run(
        launch.command,
        env=launch.environ,
        cwd=launch.directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("launcher", ["uv", "python"])
def test_real_launch(session: Session, elsewhere: Callable[..., PreparedFlow], launcher: str) -> None:
    """A real uv starts the environment's Python, ignores the directory's own request, and prints nothing itself."""
    launch = launch_flow(session.flow_run, elsewhere(PREFECT_UV_LAUNCHER=launcher))
    assert run_launch(launch) == (0, f"{ENVIRONMENT} flow.py:main\n", "")


@pytest.mark.parametrize("launcher", ["uv", "python"])
@pytest.mark.parametrize(
    ("wrapper", "printed"),
    [
        ("env A='x  y' sh -c 'echo \"$A\"; exec \"$@\"' sh", "x  y\n"),
        ("sh -c '\"$@\"; exit $?' sh", ""),
        ("python -X dev", ""),
        ("python -m tracer --port 5678", "tracer --port 5678\n"),
    ],
)
def test_wrapper_starts_the_engine(
    session: Session, elsewhere: Callable[..., PreparedFlow], launcher: str, wrapper: str, printed: str
) -> None:
    """A wrapper gets the interpreter and the script; one that begins with `python` is the interpreter."""
    flow = elsewhere(PREFECT_UV_LAUNCHER=launcher, PREFECT_UV_ENGINE_WRAPPER=wrapper)
    launch = launch_flow(session.flow_run, flow)
    assert run_launch(launch) == (0, f"{printed}{ENVIRONMENT} flow.py:main\n", "")


@pytest.mark.parametrize(
    ("wrapper", "missing", "package"),
    [
        ("opentelemetry-instrument", "the program opentelemetry-instrument", "opentelemetry-distro"),
        ("ddtrace-run --quiet", "the program ddtrace-run", "ddtrace"),
        ("python -m debugpy --listen 5678", "the module debugpy", "debugpy"),
    ],
)
def test_wrapper_missing(
    session: Session, make_settings: MakeSettings, wrapper: str, missing: str, package: str
) -> None:
    """The error names the package to add."""
    with pytest.raises(WrapperMissingError) as caught:
        launch_flow(session.flow_run, ready(make_settings, PREFECT_UV_ENGINE_WRAPPER=wrapper))
    assert caught.value.render() == (
        f"error[wrapper-missing]: The engine's wrapper cannot be started: {missing} is missing.\n\n"
        f"PREFECT_UV_ENGINE_WRAPPER={wrapper} starts the engine, but neither the environment nor the image has"
        f" {missing}.\n\n"
        f"hint: Add its package to the project (`uv add {package}`) or to the deployment (PREFECT_UV_EXTRA_PACKAGES:"
        f" {package}), or correct PREFECT_UV_ENGINE_WRAPPER."
    )


@pytest.mark.parametrize("module", ["installed", "own", "given", "nowhere"])
def test_wrapper_is_a_module(session: Session, make_settings: MakeSettings, tmp_path: Path, module: str) -> None:
    """It may be in an environment with the import hook, in the run's own directories, or in the PYTHONPATH."""
    places = {"installed": tmp_path / "lib" / "python3.13" / "site-packages"}
    places |= {name: tmp_path / name for name in ("own", "given")}
    for name, place in places.items():
        place.mkdir(parents=True)
        (place / f"{name}.py").touch()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    add_hook(tmp_path)
    given = {"PYTHONPATH": str(places["given"])} if module == "given" else {}
    flow = ready(make_settings, PREFECT_UV_ENGINE_WRAPPER=f"python -m {module}", **given)
    environment, code = replace(flow.environment, path=tmp_path), FlowCode((places["own"],))
    flow = replace(flow, environment=environment, code=code)
    if module in places:
        assert module in launch_flow(session.flow_run, flow).command
    else:
        with pytest.raises(WrapperMissingError):
            launch_flow(session.flow_run, flow)


def test_uv_in_the_flow(elsewhere: Callable[..., PreparedFlow], tmp_path: Path) -> None:
    """In a flow, `uv run` uses the environment, and `uv sync` creates the project's own `.venv`."""
    run = launch_command(elsewhere(), ["uv", "run", "python", "-c", "import sys; print(sys.prefix)"])
    assert run_launch(run) == (0, f"{ENVIRONMENT}\n", "")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "etl"\nversion = "1"\nrequires-python = ">=3"\n')
    sync = launch_command(elsewhere(PATH=f"{sys.base_prefix}/bin:{os.environ['PATH']}"), ["uv", "sync"])
    code, _, messages = run_launch(sync)
    assert (code, "Creating virtual environment at: .venv" in messages) == (0, True), messages


def test_environment_without_python(make_settings: MakeSettings, tmp_path: Path) -> None:
    """The exact error if the environment's interpreter belonged to another image."""
    flow = ready(make_settings)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to("/opt/python/gone")
    with pytest.raises(LaunchError) as caught:
        launch_command(replace(flow, environment=replace(flow.environment, path=tmp_path)), ["true"])
    assert caught.value.render() == (
        "error[launch-failed]: Environment abc has no Python.\n\n"
        f"{tmp_path}/bin/python leads to /opt/python/gone, which does not exist.\n\n"
        "hint: Run `prefect-uv cache prune --all` on the volume: the image that built it had another interpreter."
    )


def test_run_that_was_cancelled_meanwhile(session: Session, server: Server, make_settings: MakeSettings) -> None:
    """The state is read once more right before the launch."""
    server.on(f"POST /api/flow_runs/{RUN}/set_state", Answer(201, {"status": "ACCEPT"}))
    server.on(f"GET /api/flow_runs/{RUN}", Answer(body={"name": "brave-fox", "state": {"type": "CANCELLING"}}))
    with pytest.raises(AlreadyOver):
        launch_flow(session.flow_run, ready(make_settings))


def test_no_flow_run(make_settings: MakeSettings, log: RunLog) -> None:
    """`prefect-uv run` without a flow run id is an error."""
    with pytest.raises(SettingsInvalidError, match="PREFECT__FLOW_RUN_ID is not set"):
        Session(make_settings(), log).require_flow_run()


def launch(tmp_path: Path, *command: str, **environ: str) -> Launch:
    """A launch of a real command that inherits a lease."""
    lease = os.open(tmp_path / "lease", os.O_RDWR | os.O_CREAT)
    variables = {"PATH": os.environ["PATH"], **environ}
    return Launch(command, variables, tmp_path, (lease,), sys.executable, EngineVersion.of("3.8.8"))


def test_process_has_its_own_session_and_the_lease(tmp_path: Path) -> None:
    """Signals to our process group do not reach it, and it keeps the environment in use."""
    script = "import os, sys; sys.exit(os.getsid(0) == os.getpid() and os.fstat(int(sys.argv[1])).st_size == 0)"
    command = launch(tmp_path, sys.executable, "-c", script)
    command = replace(command, command=(*command.command, str(command.leases[0])))
    assert command.start({}).wait(20) == 1


@pytest.mark.parametrize("change", [{"command": ("no-such-program",)}, {"directory": Path("/no/such/directory")}])
def test_program_that_cannot_be_started(tmp_path: Path, change: dict[str, Any]) -> None:
    """A program that cannot be started is an error with its own slug."""
    with pytest.raises(LaunchError) as caught:
        replace(launch(tmp_path, "true"), **change).start({})
    assert caught.value.exit_code == 78
    assert ("`--group dev`" in caught.value.hint) == ("command" in change)


def test_replace_becomes_the_command(tmp_path: Path) -> None:
    """Without a supervisor, the process itself becomes the command, in its directory, with the lease open."""
    program = (
        "import os; from pathlib import Path; from prefect_uv.engine.launch import Launch;"
        "from prefect_uv.engine.engine_version import EngineVersion;"
        f"lease = os.open({str(tmp_path / 'lease')!r}, os.O_RDWR | os.O_CREAT);"
        "script = f'echo $$ $PWD $WORD; test -e /proc/$$/fd/{lease}';"
        "environ = {'PATH': os.environ['PATH'], 'WORD': 'w'};"
        f"Launch(('sh', '-c', script), environ, Path({str(tmp_path)!r}), (lease,), '', EngineVersion(())).replace()"
    )
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", program], env=environ, stdout=subprocess.PIPE, text=True) as process:
        output, _ = process.communicate(timeout=20)
    assert (process.returncode, output) == (0, f"{process.pid} {tmp_path} w\n")


def test_environment_on_a_read_only_volume_starts_without_uv(session: Session, make_settings: MakeSettings) -> None:
    """Without a writable cache, Python starts without uv, writes no bytecode, and uv in the flow has no cache."""
    flow = ready(make_settings)
    flow = replace(flow, environment=replace(flow.environment, run_cache=None, uv_cache=None))
    launch = launch_flow(session.flow_run, flow)
    assert launch.command[0] == str(ENVIRONMENT / "bin" / "python")
    assert (launch.environ["PYTHONDONTWRITEBYTECODE"], launch.environ["UV_NO_CACHE"]) == ("1", "1")
    assert "UV_CACHE_DIR" not in launch.environ
