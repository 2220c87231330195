"""A supervisor hears signals, and ends soon after one, while the API is in trouble: in a run, and while it reports."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.engine.test_supervisor import SOURCES
from tests.unit.http_server import SHORT_TROUBLES, TROUBLES, Answer, Request, Server
from tests.unit.program.test_processes import wait_until

RUN = "0c7a4b5e-1111-4222-8333-444455556666"
FLOW_RUN = f"GET /api/flow_runs/{RUN}"
SUPERVISE_RUN = f"""
import os, sys
from pathlib import Path
sys.path.insert(0, {str(SOURCES)!r})
from prefect_uv.api import patience
patience.HURRIED_SECONDS, patience.HURRIED_ATTEMPT_SECONDS = 0.5, 0.3
from prefect_uv.api.client import ApiClient
from prefect_uv.api.flow_run import FlowRun
from prefect_uv.engine import flow_hooks
flow_hooks.HOOKS_SCRIPT, flow_hooks.HURRIED_HOOKS_SECONDS = Path("hooks.py"), 0.2
from prefect_uv.engine.engine_version import EngineVersion
from prefect_uv.engine.launch import Launch
from prefect_uv.engine.supervisor import Supervisor
from prefect_uv.log.mask import Mask
from prefect_uv.log.run_log import RunLog
from prefect_uv.session import Session
from prefect_uv.settings import Settings
settings = Settings.from_environ(os.environ)
flow_run = FlowRun(ApiClient(settings), settings.flow_run_id)
lease = os.open("lease", os.O_RDWR | os.O_CREAT)
launch = Launch(sys.argv[1:], os.environ, Path.cwd(), (lease,), sys.executable, EngineVersion.of("3.8.8"))
sys.exit(Supervisor(launch, Session(settings, RunLog(Mask())), flow_run).run())
"""
REPORT_END = """
import json, os, socket
channel = socket.create_connection(("127.0.0.1", int(os.environ["PREFECT__CONTROL_PORT"])))
receipt = json.dumps({"disposition": "STATE_REPORTED", "state_type": "COMPLETED"}).encode()
channel.sendall(os.environ["PREFECT__CONTROL_TOKEN"].encode() + b"\\n\\x01" + len(receipt).to_bytes(4, "big") + receipt)
channel.recv(1)
"""

Supervise = Callable[..., "subprocess.Popen[str]"]
pytestmark = pytest.mark.timeout(30)


@pytest.fixture(params=TROUBLES if os.environ.get("PREFECT_UV_TEST_FULL") else SHORT_TROUBLES)
def trouble(request: pytest.FixtureRequest) -> Answer:
    """What the API does instead of answering."""
    return TROUBLES[request.param]


@pytest.fixture
def supervise(server: Server, tmp_path: Path) -> Iterator[Supervise]:
    """Start a process that supervises a command as the engine of a flow run that is Running."""
    started: list[subprocess.Popen[str]] = []
    running = {"id": RUN, "name": "brave-fox", "state": {"id": "1", "type": "RUNNING", "name": "Running"}}
    server.on(FLOW_RUN, Answer(body=running))

    def start(*command: str, **variables: str) -> subprocess.Popen[str]:
        environ = {"PREFECT_API_URL": server.url, "PREFECT__FLOW_RUN_ID": RUN, "PATH": "/usr/bin:/bin", **variables}
        arguments = [sys.executable, "-c", SUPERVISE_RUN, *command]
        started.append(subprocess.Popen(arguments, cwd=tmp_path, env=environ, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("behavior", ["", "relinquish"])
def test_signal_while_the_flow_runs(
    supervise: Supervise, server: Server, tmp_path: Path, trouble: Answer, behavior: str
) -> None:
    """Neither the look at the state nor the report keeps the supervisor, and the exit code makes the worker report."""
    variables = {"PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR": behavior}
    parent = supervise("sh", "-c", "touch begun; exec sleep 1000", **variables)
    wait_until((tmp_path / "begun").exists)
    server.on(FLOW_RUN, trouble)
    parent.send_signal(signal.SIGTERM)
    _, stderr = parent.communicate(timeout=20)
    assert parent.returncode == (137 if behavior else 143), stderr
    assert "the worker has to report it, by the exit code" in stderr


def signalled_while_the_end_is_reported(
    parent: subprocess.Popen[str], server: Server, directory: Path, trouble: Answer
) -> str:
    """Let the command end, send SIGTERM when its end is reported, and return what the supervisor wrote to stderr."""
    wait_until((directory / "begun").exists)

    def reported(_: Request) -> Answer:
        parent.send_signal(signal.SIGTERM)
        return trouble

    server.on(FLOW_RUN, reported, trouble)
    (directory / "end").touch()
    return parent.communicate(timeout=20)[1]


def test_signal_while_the_end_is_reported(
    supervise: Supervise, server: Server, tmp_path: Path, trouble: Answer
) -> None:
    """The report is given up soon after the signal, and the exit code is the engine's."""
    parent = supervise("sh", "-c", "touch begun; until [ -e end ]; do sleep 0.01; done; exit 3")
    stderr = signalled_while_the_end_is_reported(parent, server, tmp_path, trouble)
    assert parent.returncode == 3, stderr


def test_end_that_the_engine_reported(supervise: Supervise, server: Server, tmp_path: Path, trouble: Answer) -> None:
    """If the state cannot be read, the engine's own report decides: a Completed run ends with 0."""
    wait = "import pathlib, time\nwhile not pathlib.Path('end').exists(): time.sleep(0.01)"
    parent = supervise(sys.executable, "-c", f"{REPORT_END}\nopen('begun', 'w').close()\n{wait}")
    stderr = signalled_while_the_end_is_reported(parent, server, tmp_path, trouble)
    assert parent.returncode == 0, stderr
    assert "the engine reported that the flow run is Completed" in stderr


def test_patient_report(supervise: Supervise, server: Server, tmp_path: Path) -> None:
    """Without a signal, a Completed run ends with 0 however long a gateway answers with its own errors."""
    parent = supervise("sh", "-c", "touch begun; until [ -e end ]; do sleep 0.01; done")
    wait_until((tmp_path / "begun").exists)
    completed = Answer(body={"id": RUN, "name": "brave-fox", "state": {"id": "2", "type": "COMPLETED"}})
    server.on(FLOW_RUN, Answer(500), Answer(504), completed)
    (tmp_path / "end").touch()
    _, stderr = parent.communicate(timeout=20)
    assert parent.returncode == 0, stderr
    assert len(server.to("GET", FLOW_RUN.partition(" ")[2])) == 4


def test_signal_while_hooks_run(supervise: Supervise, server: Server, tmp_path: Path) -> None:
    """A signal leaves the hooks a few seconds; the run is reported, and the exit code is the engine's."""
    (tmp_path / "hooks.py").write_text("import time; open('hooks run', 'w').close(); time.sleep(1000)")
    crashed = Answer(201, {"status": "ACCEPT", "state": {"type": "CRASHED"}})
    server.on(f"POST /api/flow_runs/{RUN}/set_state", crashed)
    parent = supervise("sh", "-c", "exit 3", PREFECT__FLOW_ENTRYPOINT="flow.py:main")
    wait_until((tmp_path / "hooks run").exists)
    parent.send_signal(signal.SIGTERM)
    _, stderr = parent.communicate(timeout=20)
    assert parent.returncode == 3, stderr
    assert "on_crashed hooks could not be run (exit code -9)" in stderr
