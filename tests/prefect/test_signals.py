"""`docker stop` and the Cancel button each reach the engine as exactly one SIGTERM."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from prefect.states import Cancelling

from tests.stack import EXCHANGE, Repository, Stack, git_clone

pytestmark = [pytest.mark.docker, pytest.mark.timeout(120)]


def test_docker_stop_is_one_sigterm(stack: Stack, plain: Repository, tmp_path: Path) -> None:
    """The engine receives exactly one SIGTERM, reports the crash itself, and ends by the signal."""
    deployment = stack.api.deploy("signals", "flows.py:recording_signals", [git_clone(plain.url)])
    flow_run = stack.api.create_run(deployment, {"folder": EXCHANGE})
    container = stack.start_directly(flow_run, exchange=tmp_path)
    stack.wait_for_file(tmp_path / "ready", container)
    container.stop(timeout=30)
    run = stack.finish(flow_run, container)
    assert list((tmp_path / "signals").read_bytes()) == [signal.SIGTERM], run.report()
    assert run.state.name == "Crashed", run.report()
    assert run.outcome.exit_code == 143, run.report()


def test_cancel_ends_the_container(stack: Stack, plain: Repository, tmp_path: Path) -> None:
    """A cancelled flow run gets one SIGTERM and is Cancelled; the container ends with 0."""
    deployment = stack.api.deploy("signals", "flows.py:recording_signals", [git_clone(plain.url)])
    flow_run = stack.api.create_run(deployment, {"folder": EXCHANGE})
    container = stack.start_directly(flow_run, exchange=tmp_path)
    stack.wait_for_file(tmp_path / "ready", container)
    stack.api.client.set_flow_run_state(flow_run, Cancelling())
    run = stack.finish(flow_run, container)
    assert list((tmp_path / "signals").read_bytes()) == [signal.SIGTERM], run.report()
    assert (run.state.name, run.outcome.exit_code) == ("Cancelled", 0), run.report()
