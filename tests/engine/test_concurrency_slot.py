"""A run that is being prepared keeps its deployment's slot, and its state says what takes long, on a real server."""

from __future__ import annotations

import json
import signal
import socket
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Cancelling, Pending, Running

from prefect_uv.api.client import ApiClient
from prefect_uv.api.flow_run import FlowRun
from prefect_uv.settings import Settings
from tests.engine.host import Host, Run
from tests.pins import PREFECT
from tests.stack.api import git_clone
from tests.stack.process import wait_until

LONGER = timedelta(seconds=120)
"""The server grants a lease for 30 seconds, and we renew it for 300."""


def _expiry(host: Host, lease: object) -> datetime:
    """When a lease on a slot expires."""
    path = host.server.home / ".prefect" / "concurrency_leases" / f"{lease}.json"
    return datetime.fromisoformat(json.loads(path.read_text())["expiration"]).astimezone(UTC)


def test_slot_is_kept_while_code_is_pulled(host: Host) -> None:
    """The lease that the server granted with Pending is renewed long before the engine could do so."""
    folder = host.home / "slot"
    (folder / "tmp").mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        step = git_clone(f"http://127.0.0.1:{silent.getsockname()[1]}/r.git")
        deployment = host.api.deploy("limited", "flows.py:sleeping", [step], concurrency_limit=1)
        flow_run = host.api.create_run(deployment, {"folder": str(folder)})
        host.api.submit(flow_run)
        run = Run(host, flow_run, folder, host.container(flow_run, folder, {}))
        lease = run.state.state_details.deployment_concurrency_lease_id
        granted = _expiry(host, lease)
        wait_until(lambda: _expiry(host, lease) > granted + LONGER, "the lease is renewed", 60)
        run.signal(signal.SIGTERM)
        run.end()


def test_state_is_named_for_the_phase_that_lasts(host: Host) -> None:
    """It stays Pending and keeps the slot; then the flow runs, and the slot is free again."""
    folder = host.home / "lasting"
    (folder / "tmp").mkdir(parents=True)
    go = {"prefect.deployments.steps.set_working_directory": {"directory": str(host.project(PREFECT))}}
    script = f"sh -c 'until test -e {folder}/go; do sleep 0.1; done'"
    steps = [go, {"prefect.deployments.steps.run_shell_script": {"script": script}}]
    deployment = host.api.deploy("lasting", "flows.py:sleeping", steps, concurrency_limit=1)
    flow_run = host.api.create_run(deployment, {"folder": str(folder), "seconds": 0})
    host.api.submit(flow_run)
    run = Run(host, flow_run, folder, host.container(flow_run, folder, {}))
    granted = run.state.state_details.deployment_concurrency_lease_id
    run.wait_for("the state's name", lambda: run.state.name == "Pulling")
    state = run.state
    assert (state.type.value, state.message) == ("PENDING", "running a line of the script")
    assert granted is not None
    assert state.state_details.deployment_concurrency_lease_id == granted
    (folder / "go").touch()
    assert run.end()[0] == 0, run.output
    names = [state.name for state in host.api.client.read_flow_run_states(flow_run)]
    assert names == ["Scheduled", "Pending", "Pulling", "Running", "Completed"]
    following = host.api.create_run(deployment, {"folder": str(folder)})
    host.api.submit(following)
    assert host.api.client.read_flow_run(following).state_name == "Pending"


@pytest.mark.parametrize("state", [Cancelling(), Cancelled(), Running(), Pending(name="Pulling")])
def test_server_keeps_a_state_that_is_newer(host: Host, state: State[Any]) -> None:
    """Between our read and our proposal somebody may press Cancel: the server takes no Pending over that."""
    deployment = host.api.deploy(f"newer-{uuid4().hex[:6]}", "flows.py:sleeping", [])
    flow_run = host.api.create_run(deployment)
    host.api.submit(flow_run)
    ours = FlowRun(ApiClient(Settings.from_environ(host.server.environment)), str(flow_run))
    host.api.client.set_flow_run_state(flow_run, state)
    before = host.api.client.read_flow_run(flow_run).state
    ours.show("Pulling", "cloning x")
    assert host.api.client.read_flow_run(flow_run).state == before
