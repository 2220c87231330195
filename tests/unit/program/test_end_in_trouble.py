"""A start hears signals and ends soon after one, in whatever phase it is and whatever trouble the API is in."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from prefect_uv.api import patience
from prefect_uv.errors import LockfileMissingError
from prefect_uv.processes.signals import note_signals, pause
from prefect_uv.session import Session
from prefect_uv.session.run_lookup import ask
from prefect_uv.start import start
from tests.unit.http_server import TROUBLES, Answer, Request, Server

RUN = "0c7a4b5e-1111-4222-8333-444455556666"
DEPLOYMENT = "11111111-2222-4333-8444-555555555555"
FLOW_RUN = f"GET /api/flow_runs/{RUN}"
SET_STATE = f"POST /api/flow_runs/{RUN}/set_state"

pytestmark = pytest.mark.timeout(20)


@pytest.fixture(params=TROUBLES)
def trouble(request: pytest.FixtureRequest) -> Answer:
    """What the API does instead of answering."""
    return TROUBLES[request.param]


@pytest.fixture
def environ(server: Server, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a flow run that the server knows; a hurried request has half a second."""
    note_signals()
    monkeypatch.setattr(patience, "HURRIED_SECONDS", 0.5)
    monkeypatch.setattr(patience, "HURRIED_ATTEMPT_SECONDS", 0.3)
    monkeypatch.setattr("prefect_uv.log.run_log.FLUSH_SECONDS", 0.1)
    document = {"id": RUN, "name": "brave-fox", "deployment_id": DEPLOYMENT, "state": {"type": "PENDING"}}
    server.on(FLOW_RUN, Answer(body=document))
    server.on(f"GET /api/deployments/{DEPLOYMENT}", Answer(body={"entrypoint": "flow.py:main"}))
    server.on(SET_STATE, Answer(201, {"status": "ACCEPT", "state": {"type": "CRASHED"}}))
    server.on("POST /api/logs/", Answer(201))
    return {"PREFECT_API_URL": server.url, "PREFECT__FLOW_RUN_ID": RUN}


def terminating(then: Answer) -> Callable[[Request], Answer]:
    """A route that has SIGTERM sent to us before it answers, or does what it does instead."""

    def route(_: Request) -> Answer:
        os.kill(os.getpid(), signal.SIGTERM)
        return then

    return route


def _ask(session: Session) -> int:
    session.phase("ask", ask, session)
    return 0


def _fail(session: Session) -> int:
    session.phase("ask", ask, session)
    message = "No uv.lock."
    raise LockfileMissingError(message)


def _wait(session: Session) -> int:
    session.phase("ask", ask, session)
    os.kill(os.getpid(), signal.SIGTERM)
    pause(15)
    return 0


@pytest.mark.parametrize("route", [FLOW_RUN, f"GET /api/deployments/{DEPLOYMENT}"])
def test_signal_while_we_ask(environ: dict[str, str], server: Server, trouble: Answer, route: str) -> None:
    """The first question that is not answered does not keep a signal from ending the start."""
    server.on(route, terminating(trouble), trouble)
    assert start(_ask, environ, []) == 128 + signal.SIGTERM


@pytest.mark.parametrize("behavior", ["", "reschedule"])
@pytest.mark.parametrize("route", [FLOW_RUN, SET_STATE])
def test_trouble_after_the_signal(
    environ: dict[str, str], server: Server, trouble: Answer, route: str, behavior: str
) -> None:
    """The state can neither be read nor set: the exit code is the signal's, for the worker to report."""

    def wait(session: Session) -> int:
        session.phase("ask", ask, session)
        server.on(route, trouble)
        server.on("POST /api/logs/", trouble)
        os.kill(os.getpid(), signal.SIGTERM)
        pause(15)
        return 0

    variables = {**environ, "PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR": behavior}
    assert start(wait, variables, []) == 128 + signal.SIGTERM


def test_signal_while_an_error_is_reported(environ: dict[str, str], server: Server, trouble: Answer) -> None:
    """The report ends soon after the signal, and the exit code is still that of the error."""
    server.on(SET_STATE, terminating(trouble), trouble)
    assert start(_fail, environ, []) == LockfileMissingError.exit_code


def test_second_signal_while_the_first_is_reported(environ: dict[str, str], server: Server, trouble: Answer) -> None:
    """A second signal does no harm."""
    server.on(SET_STATE, terminating(trouble), terminating(trouble), trouble)
    assert start(_wait, environ, []) == 128 + signal.SIGTERM


def test_report_is_repeated_once_more(environ: dict[str, str], server: Server) -> None:
    """An attempt that hangs when the signal arrives is given up, and an API that is back gets the report."""
    server.on(SET_STATE, terminating(TROUBLES["is silent"]), Answer(201, {"status": "ACCEPT"}))
    assert start(_fail, environ, []) == LockfileMissingError.exit_code
    assert len(server.to("POST", SET_STATE.partition(" ")[2])) == 2
