"""A flow run is executed only if its state allows it."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from prefect_uv.api.client import ApiClient
from prefect_uv.api.flow_run import AlreadyOver, FlowRun
from prefect_uv.errors import DeploymentNotFoundError, FlowRunNotFoundError
from tests.unit.conftest import MakeSettings
from tests.unit.http_server import Answer, Request, Server

RUN = "0c7a4b5e-1111-4222-8333-444455556666"
DEPLOYMENT = "11111111-2222-4333-8444-555555555555"


def flow_run(server: Server, make_settings: MakeSettings, **fields: Any) -> FlowRun:
    """A flow run on the server, with these fields."""
    document = {"id": RUN, "name": "brave-fox", "deployment_id": DEPLOYMENT, "state": {"type": "PENDING"}, **fields}
    server.on(f"GET /api/flow_runs/{RUN}", Answer(body=document))
    return FlowRun(ApiClient(make_settings()), RUN)


@pytest.mark.parametrize("type_", ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"])
def test_final_state_is_not_run_again(server: Server, make_settings: MakeSettings, type_: str) -> None:
    """A run in a final state is refused, and no state is proposed."""
    run = flow_run(server, make_settings, state={"type": type_, "name": type_.title()})
    with pytest.raises(AlreadyOver, match=f"flow run brave-fox is already {type_.title()}: nothing to do"):
        run.refuse_when_over()
    assert {request.method for request in server.requests} == {"GET"}


@pytest.mark.parametrize("state", [None, {"type": "PENDING"}, {"type": "SCHEDULED"}, {"type": "RUNNING"}])
def test_run_that_is_not_over_may_run(
    server: Server, make_settings: MakeSettings, state: dict[str, str] | None
) -> None:
    """A run that is not over may run, even if it is Running, because its container may have been restarted."""
    flow_run(server, make_settings, state=state).refuse_when_over()


def test_cancelling_becomes_cancelled(server: Server, make_settings: MakeSettings) -> None:
    """A run that was cancelled before it started is set to Cancelled by force, and refused."""
    server.on(f"POST /api/flow_runs/{RUN}/set_state", Answer(201, {"status": "ACCEPT"}))
    run = flow_run(server, make_settings, state={"type": "CANCELLING", "name": "Cancelling"})
    with pytest.raises(AlreadyOver, match="was cancelled before it started"):
        run.refuse_when_over()
    (proposed,) = server.to("POST", f"/api/flow_runs/{RUN}/set_state")
    assert (proposed.json["state"]["type"], proposed.json["force"]) == ("CANCELLED", True)


def test_state_is_read_again_before_launch(server: Server, make_settings: MakeSettings) -> None:
    """With `again`, a cancellation since the first read is noticed."""
    run = flow_run(server, make_settings)
    run.refuse_when_over()
    cancelled = {"name": "brave-fox", "state": {"type": "CANCELLED", "name": "Cancelled"}}
    server.on(f"GET /api/flow_runs/{RUN}", Answer(body=cancelled))
    run.refuse_when_over()
    with pytest.raises(AlreadyOver):
        run.refuse_when_over(again=True)


def test_missing_flow_run(make_settings: MakeSettings) -> None:
    """The error for a run that the API does not have names its id."""
    with pytest.raises(FlowRunNotFoundError, match=f"The Prefect API has no flow run {RUN}"):
        FlowRun(ApiClient(make_settings()), RUN)


def test_deployment_is_returned(server: Server, make_settings: MakeSettings) -> None:
    """The run's deployment is returned as the API sends it."""
    server.on(f"GET /api/deployments/{DEPLOYMENT}", Answer(body={"entrypoint": "flow.py:main"}))
    assert flow_run(server, make_settings).deployment() == {"entrypoint": "flow.py:main"}


def test_deployment_that_is_known_is_asked_for_at_the_same_time(server: Server, make_settings: MakeSettings) -> None:
    """The API does not answer about the run before it is asked for the deployment; nobody asks for that again."""
    asked = threading.Event()

    def deployment(_request: Request) -> Answer:
        asked.set()
        return Answer(body={"id": DEPLOYMENT, "entrypoint": "flow.py:main"})

    def run(_request: Request) -> Answer:
        return Answer(200 if asked.wait(10) else 404, {"name": "brave-fox", "deployment_id": DEPLOYMENT})

    server.on(f"GET /api/deployments/{DEPLOYMENT}", deployment)
    server.on(f"GET /api/flow_runs/{RUN}", run)
    read = FlowRun(ApiClient(make_settings()), RUN, deployment_id=DEPLOYMENT)
    assert read.deployment()["entrypoint"] == "flow.py:main"
    assert len(server.to("GET", f"/api/deployments/{DEPLOYMENT}")) == 1
    read.read()
    server.on(f"GET /api/deployments/{DEPLOYMENT}", Answer(body={"id": DEPLOYMENT, "entrypoint": "flow.py:other"}))
    assert read.deployment()["entrypoint"] == "flow.py:other", "what was known of a run that was waited for is stale"


@pytest.mark.parametrize(
    "wrong", [Answer(404), Answer(500), Answer(body={"id": RUN}), Answer(body=[]), Answer(trouble="drops")]
)
def test_deployment_that_is_not_the_runs(server: Server, make_settings: MakeSettings, wrong: Answer) -> None:
    """Whatever is wrong with what was known, the run's own deployment is asked for, with all retries."""
    server.on("GET /api/deployments/other", wrong)
    server.on(f"GET /api/flow_runs/{RUN}", Answer(body={"name": "brave-fox", "deployment_id": DEPLOYMENT}))
    server.on(f"GET /api/deployments/{DEPLOYMENT}", Answer(body={"id": DEPLOYMENT, "entrypoint": "flow.py:main"}))
    read = FlowRun(ApiClient(make_settings()), RUN, deployment_id="other")
    assert read.deployment()["entrypoint"] == "flow.py:main"


def test_deleted_deployment(server: Server, make_settings: MakeSettings) -> None:
    """A deployment that was deleted after the run's creation is an error."""
    with pytest.raises(DeploymentNotFoundError, match="The deployment of flow run brave-fox no longer exists"):
        flow_run(server, make_settings).deployment()


def test_flow_run_without_deployment(server: Server, make_settings: MakeSettings) -> None:
    """A run without a deployment, whose code cannot be found, is an error."""
    with pytest.raises(DeploymentNotFoundError, match="Flow run brave-fox has no deployment"):
        flow_run(server, make_settings, deployment_id=None).deployment()


SET_STATE = f"/api/flow_runs/{RUN}/set_state"
ACCEPTED = Answer(201, {"status": "ACCEPT", "state": {"id": "1", "type": "PENDING", "name": "Installing"}})


def shown(server: Server) -> list[tuple[str, str]]:
    """The types and names of the states that were proposed."""
    return [
        (request.json["state"]["type"], request.json["state"]["name"] or "") for request in server.to("POST", SET_STATE)
    ]


def test_state_says_what_a_start_does(server: Server, make_settings: MakeSettings) -> None:
    """It is proposed, not forced, with a message, and again for the next phase."""
    server.on(f"POST {SET_STATE}", ACCEPTED)
    run = flow_run(server, make_settings)
    run.show("Pulling", "cloning x")
    run.show("Installing", "building x: 3 of 4")
    assert shown(server) == [("PENDING", "Pulling"), ("PENDING", "Installing")]
    last = server.to("POST", SET_STATE)[-1].json
    assert (last["force"], last["state"]["message"]) == (False, "building x: 3 of 4")


@pytest.mark.parametrize(
    "answer", [Answer(200, {"status": "ABORT", "details": {"type": "abort_details"}}), Answer(500), Answer(404)]
)
def test_server_that_does_not_take_the_state_is_not_asked_again(
    server: Server, make_settings: MakeSettings, answer: Answer
) -> None:
    """One before Prefect 3.6.22, for example; nothing else changes."""
    server.on(f"POST {SET_STATE}", answer)
    run = flow_run(server, make_settings)
    run.show("Pulling", "cloning x")
    run.show("Installing", "building x")
    assert len(shown(server)) == 1


@pytest.mark.parametrize("last", ["crash", "reschedule", "cancel", "launch"])
def test_nothing_is_shown_once_a_start_is_over(server: Server, make_settings: MakeSettings, last: str) -> None:
    """A server would accept Pending over Crashed or AwaitingRetry: what is under way is waited for, none follows."""
    run = flow_run(server, make_settings)
    showing, go_on = threading.Event(), threading.Event()

    def answer_slowly(_: Request) -> Answer:
        showing.set()
        assert go_on.wait(10)
        return ACCEPTED

    server.on(f"POST {SET_STATE}", answer_slowly, ACCEPTED)
    thread = threading.Thread(target=run.show, args=("Installing", "building x"))
    thread.start()
    assert showing.wait(10)
    threading.Timer(0.1, go_on.set).start()
    match last:
        case "crash":
            run.crash("no")
        case "reschedule":
            run.reschedule()
        case "cancel":
            run.cancel("no")
        case _:
            run.refuse_when_over(again=True)
    assert go_on.is_set()
    thread.join(10)
    run.show("Building", "building y")
    assert [name for type_, name in shown(server) if type_ == "PENDING"] == ["Installing"]
    assert shown(server)[0] == ("PENDING", "Installing")
