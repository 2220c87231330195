"""A run is cancelled or stopped while we pull, build or wait for a build: we stop and report the state."""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.engine.cases import SIGTERM_BEHAVIOR
from tests.engine.conftest import Record
from tests.engine.host import Host, Run
from tests.pins import PREFECT
from tests.stack.api import git_clone

pytestmark = pytest.mark.timeout(300)

FLOW = "flows.py:sleeping"
ANY = "any"
ENDINGS = {"": ("Crashed", 143), "reschedule": ("AwaitingRetry", 0), "relinquish": ("Pending", 1)}

Start = Callable[[Mapping[str, str]], Run]


def test_engines_of_these_tests_start_early(host: Host) -> None:
    """On two processors, the second run gets an engine that was started before it was known; both import a bundle."""
    outputs = []
    for _ in range(2):
        run = host.start(PREFECT, FLOW, {"seconds": 0}, {"PREFECT_UV_VERBOSE": "true"})
        assert run.end()[0] == 0, run.output
        assert run.loader == "BundleLoader"
        outputs.append(run.output)
    assert ("the engine was started early" in outputs[1]) == (len(os.sched_getaffinity(0)) > 1), outputs[1]


@pytest.fixture(params=["pull", "sync", "wait"])
def phase(request: pytest.FixtureRequest) -> str:
    """The phase in which the run is stopped."""
    return str(request.param)


@pytest.fixture
def start(phase: str, host: Host, tmp_path: Path) -> Iterator[Start]:
    """Start a run that reaches this phase and stays in it."""

    def pull(environment: Mapping[str, str]) -> Run:
        run = host.start(PREFECT, FLOW, {}, environment, [git_clone(f"http://127.0.0.1:{port}/r.git")])
        run.wait_for("git connects", lambda: _is_connected(silent))
        return run

    def sync(environment: Mapping[str, str]) -> Run:
        run = host.start(PREFECT, FLOW, {}, {**environment, "PREFECT_UV_CACHE_DIR": str(tmp_path)})
        run.wait_for("the build", lambda: "is the first one here" in run.output)
        return run

    def wait(environment: Mapping[str, str]) -> Run:
        run = host.start(PREFECT, FLOW, {}, {**environment, "PREFECT_UV_CACHE_DIR": str(tmp_path)})
        run.wait_for("waiting for the other build", lambda: "waited " in run.output)
        return run

    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        other = sync({}) if phase == "wait" else None
        if other:
            other.signal(signal.SIGSTOP)
        yield {"pull": pull, "sync": sync, "wait": wait}[phase]
        if other:
            other.signal(signal.SIGCONT)
            other.signal(signal.SIGTERM)
            other.end()


def _is_connected(server: socket.socket) -> bool:
    """Whether a client has connected; the connection stays in the backlog and gets no answer."""
    return bool(select.select([server], [], [], 0)[0])


def test_cancel_before_launch_ends_the_run(start: Start, phase: str, tmp_path: Path, record: Record) -> None:
    """The run is Cancelled, no hooks run, no partial environment and no process is left, and the exit code is 0."""
    run = start({})
    run.cancel()
    code, seconds = run.end()
    _record(record, f"cancel during {phase}", run, code, seconds)
    assert (run.state.name, code, run.notes) == ("Cancelled", 0, []), run.output
    assert run.left_behind() == [], run.output
    assert phase == "wait" or not _builds(tmp_path)


@pytest.mark.parametrize("behavior", list(ENDINGS) if os.environ.get("PREFECT_UV_TEST_FULL") else ["reschedule"])
def test_docker_stop_before_launch_ends_the_run(
    start: Start, phase: str, tmp_path: Path, record: Record, behavior: str
) -> None:
    """SIGTERM has the same effect as while the flow runs; relinquish leaves the state unchanged."""
    run = start({SIGTERM_BEHAVIOR: behavior})
    run.signal(signal.SIGTERM)
    code, seconds = run.end()
    _record(record, f"docker stop during {phase}" + (f", {behavior}" if behavior else ""), run, code, seconds)
    state = run.state
    name = "Pending" if state.is_pending() else state.name  # in a phase that lasts, it is named for the phase
    assert (name, code, run.notes) == (*ENDINGS[behavior], []), run.output
    assert run.left_behind() == [], run.output
    assert phase == "wait" or not _builds(tmp_path)


def _builds(cache: Path) -> list[Path]:
    """Environments under construction."""
    return [path for path in cache.glob("tmp/*") if path.is_dir()]


def _record(record: Record, case: str, run: Run, code: int, seconds: float) -> None:
    no_hooks = {"on_cancellation": 0, "on_crashed": 0, "sigterms": 0}
    record(case, ANY, state=run.state.name, code=code, seconds=round(seconds, 1), **no_hooks)
