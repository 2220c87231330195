"""What may be done with a flow run in its state."""

from __future__ import annotations

from typing import Any

import pytest

from prefect_uv.api.client import ApiClient
from prefect_uv.api.flow_run import AlreadyOver, FlowRun
from prefect_uv.errors import DeploymentNotFoundError, FlowRunNotFoundError
from tests.unit.conftest import MakeSettings
from tests.unit.http_server import Answer, Server

RUN = "0c7a4b5e-1111-4222-8333-444455556666"
DEPLOYMENT = "11111111-2222-4333-8444-555555555555"


def flow_run(server: Server, make_settings: MakeSettings, **fields: Any) -> FlowRun:
    """A flow run that the server tells."""
    told = {"id": RUN, "name": "brave-fox", "deployment_id": DEPLOYMENT, "state": {"type": "PENDING"}, **fields}
    server.on(f"GET /api/flow_runs/{RUN}", Answer(body=told))
    return FlowRun(ApiClient(make_settings()), RUN)


@pytest.mark.parametrize("type_", ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"])
def test_final_state_is_not_run_again(server: Server, make_settings: MakeSettings, type_: str) -> None:
    """A run that is over stays over; nothing is proposed."""
    run = flow_run(server, make_settings, state={"type": type_, "name": type_.title()})
    with pytest.raises(AlreadyOver, match=f"flow run brave-fox is already {type_.title()}: nothing to do"):
        run.refuse_when_over()
    assert {request.method for request in server.requests} == {"GET"}


@pytest.mark.parametrize("state", [None, {"type": "PENDING"}, {"type": "SCHEDULED"}, {"type": "RUNNING"}])
def test_open_state_may_run(server: Server, make_settings: MakeSettings, state: dict[str, str] | None) -> None:
    """A run that is not over runs, Running too (a second start of its container)."""
    flow_run(server, make_settings, state=state).refuse_when_over()


def test_cancelling_becomes_cancelled(server: Server, make_settings: MakeSettings) -> None:
    """A run that was cancelled before it started is Cancelled, by force, and not run."""
    server.on(f"POST /api/flow_runs/{RUN}/set_state", Answer(201, {"status": "ACCEPT"}))
    run = flow_run(server, make_settings, state={"type": "CANCELLING", "name": "Cancelling"})
    with pytest.raises(AlreadyOver, match="was cancelled before it started"):
        run.refuse_when_over()
    (proposed,) = server.to("POST", f"/api/flow_runs/{RUN}/set_state")
    assert (proposed.json["state"]["type"], proposed.json["force"]) == ("CANCELLED", True)


def test_state_is_read_again_before_launch(server: Server, make_settings: MakeSettings) -> None:
    """A cancellation during the pull is seen."""
    run = flow_run(server, make_settings)
    run.refuse_when_over()
    done = {"name": "brave-fox", "state": {"type": "CANCELLED", "name": "Cancelled"}}
    server.on(f"GET /api/flow_runs/{RUN}", Answer(body=done))
    run.refuse_when_over()
    with pytest.raises(AlreadyOver):
        run.refuse_when_over(again=True)


def test_unknown_flow_run(make_settings: MakeSettings) -> None:
    """The API does not know it: told with its id."""
    with pytest.raises(FlowRunNotFoundError, match=f"The Prefect API has no flow run {RUN}"):
        FlowRun(ApiClient(make_settings()), RUN)


def test_deployment(server: Server, make_settings: MakeSettings) -> None:
    """The deployment says where the code is."""
    server.on(f"GET /api/deployments/{DEPLOYMENT}", Answer(body={"entrypoint": "flow.py:main"}))
    assert flow_run(server, make_settings).deployment() == {"entrypoint": "flow.py:main"}


def test_deployment_that_was_deleted(server: Server, make_settings: MakeSettings) -> None:
    """Gone between the run's creation and its start."""
    with pytest.raises(DeploymentNotFoundError, match="The deployment of flow run brave-fox no longer exists"):
        flow_run(server, make_settings).deployment()


def test_flow_run_without_deployment(server: Server, make_settings: MakeSettings) -> None:
    """A run of a bare flow has no code that could be found."""
    with pytest.raises(DeploymentNotFoundError, match="Flow run brave-fox has no deployment"):
        flow_run(server, make_settings, deployment_id=None).deployment()
