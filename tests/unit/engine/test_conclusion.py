"""What we report after the engine has ended. States are scripted here; tests/engine uses real engines and hooks."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefect_uv.api import flow_run
from prefect_uv.api.client import ApiClient
from prefect_uv.api.flow_run import FlowRun
from prefect_uv.api.patience import RetryPolicy
from prefect_uv.api.run_state import State
from prefect_uv.engine import conclusion
from prefect_uv.engine.conclusion import Conclusion, Ending
from prefect_uv.engine.engine_version import EngineVersion
from prefect_uv.engine.launch import Launch
from prefect_uv.log.run_log import RunLog
from tests.unit.conftest import MakeSettings
from tests.unit.http_server import Answer, Request, Server

RUN = "0c7a4b5e-1111-4222-8333-444455556666"
SET_STATE = f"/api/flow_runs/{RUN}/set_state"

Conclude = Callable[..., int]


def _state(type_: str, id_: str = "now") -> dict[str, Any]:
    if type_ == "SUSPENDED":
        return {"id": id_, "type": "PAUSED", "name": "Suspended", "state_details": {"pause_reschedule": True}}
    return {"id": id_, "type": type_, "name": type_.title()}


def _accept(request: Request) -> Answer:
    return Answer(201, {"status": "ACCEPT", "state": _state(request.json["state"]["type"], "new")})


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kinds of hooks that ran."""
    kinds: list[str] = []
    monkeypatch.setattr(conclusion, "run_hooks", lambda kind, _launch, _log: kinds.append(kind))
    return kinds


@pytest.fixture
def conclude(server: Server, make_settings: MakeSettings, log: RunLog, hooks: list[str]) -> Conclude:
    """Conclude a run that ended in this state and was in another one before, with an engine of this Prefect version."""
    assert hooks == []
    server.on(f"POST {SET_STATE}", _accept)

    def make(type_: str, prefect: str = "3.8.8", /, **ending: Any) -> int:
        found = ending.pop("found", _state("PENDING", "before"))
        answers = [Answer(body={"id": RUN, "name": "fox", "state": state}) for state in (found, _state(type_))]
        server.on(f"GET /api/flow_runs/{RUN}", *answers)
        launch = Launch((), {}, Path(), (0,), "", EngineVersion.of(prefect))
        return Conclusion(Ending(**ending), FlowRun(ApiClient(make_settings()), RUN), launch, log).report()

    return make


def _proposed(server: Server) -> list[str]:
    return [request.json["state"]["type"] for request in server.to("POST", SET_STATE)]


@pytest.mark.parametrize("state", ["COMPLETED", "FAILED", "CANCELLED", "SUSPENDED", "SCHEDULED"])
def test_run_that_is_over_is_left_alone(conclude: Conclude, server: Server, hooks: list[str], state: str) -> None:
    """A run in a final state, or one that continues later, ends with 0 for every exit code of the engine."""
    assert conclude(state, code=137) == 0
    assert (_proposed(server), hooks) == ([], [])


@pytest.mark.parametrize(
    ("stop_reason", "code", "expected"),
    [("", 1, ["CRASHED"]), ("SIGTERM", 143, ["CRASHED"]), ("reschedule", 0, ["SCHEDULED"]), ("relinquish", 1, [])],
)
def test_scheduled_run_whose_engine_never_began(
    conclude: Conclude, server: Server, stop_reason: str, code: int, expected: list[str]
) -> None:
    """A run that is still Scheduled as we found it does not continue later: it ends as a Pending one would."""
    found = _state("SCHEDULED", "now")
    assert conclude("SCHEDULED", code=code or 143, stop_reason=stop_reason, found=found) == code
    assert _proposed(server) == expected


@pytest.mark.parametrize(("prefect", "expected"), [("3.0.11", ["crashed"]), ("3.8.8", [])])
def test_reported_crash(
    conclude: Conclude, server: Server, hooks: list[str], prefect: str, expected: list[str]
) -> None:
    """The engine reported the crash; only engines before 3.1.12 leave the hooks to us. The exit code is never 0."""
    assert conclude("CRASHED", prefect, code=0) == 1
    assert (_proposed(server), hooks) == ([], expected)


@pytest.mark.parametrize("state", ["RUNNING", "PENDING", "PAUSED"])
def test_unreported_end_is_a_crash(conclude: Conclude, server: Server, hooks: list[str], state: str) -> None:
    """The run is Crashed, with the reason, and the hooks run once."""
    assert conclude(state, code=137) == 137
    (request,) = server.to("POST", SET_STATE)
    assert "killed by SIGKILL" in request.json["state"]["message"]
    assert not request.json["force"]
    assert hooks == ["crashed"]


def test_last_line_of_a_failed_import(conclude: Conclude, server: Server) -> None:
    """The state's message quotes the last line of the traceback."""
    conclude("PENDING", code=1, tail="Traceback\n  ...\nModuleNotFoundError: No module named 'x'\n\n")
    (request,) = server.to("POST", SET_STATE)
    assert request.json["state"]["message"].endswith("Its last line: ModuleNotFoundError: No module named 'x'")


LIBRARY = "ImportError: libGL.so.1: cannot open shared object file: No such file or directory"


def test_hint_after_the_last_line(conclude: Conclude, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """The state's message and the log say what to do about a library that is missing."""
    hint = "hint: Build an image FROM this one with `apt-get install libgl1`."
    conclude("PENDING", code=1, tail=f"Traceback\n{LIBRARY}\n")
    (request,) = server.to("POST", SET_STATE)
    assert request.json["state"]["message"].endswith(f"Its last line: {LIBRARY} {hint}")
    assert f"prefect-uv: {hint}" in capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(("state", "hints"), [("FAILED", 1), ("COMPLETED", 0)])
def test_flow_that_failed_without_a_library(
    conclude: Conclude, capsys: pytest.CaptureFixture[str], state: str, hints: int
) -> None:
    """A flow that imports late fails by itself; its log gets the hint, too."""
    conclude(state, code=0, tail=f"Traceback\n{LIBRARY}\nmore\n")
    assert capsys.readouterr().err.count("hint: ") == hints


def test_cancel_at_the_time_of_a_crash(conclude: Conclude, server: Server, hooks: list[str]) -> None:
    """The server rejects Crashed because the run is Cancelling, so the run ends as Cancelled."""
    rejected = Answer(200, {"status": "REJECT", "state": _state("CANCELLING")})
    server.on(f"POST {SET_STATE}", rejected, _accept)
    assert conclude("RUNNING", code=137) == 0
    assert (_proposed(server), hooks) == (["CRASHED", "CANCELLED"], ["cancellation"])


CANCELLING = State("seen", "CANCELLING", "Cancelling")


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        ({"code": 0}, []),
        ({"code": 1}, []),
        ({"code": 143}, ["cancellation"]),
        ({"code": 137, "stop_reason": "cancel", "seen": CANCELLING}, ["cancellation"]),
        ({"code": 137, "stop_reason": "cancel", "seen": CANCELLING, "acknowledged": True}, []),
        (
            {"code": 137, "stop_reason": "cancel", "seen": State("now", "CANCELLING", ""), "acknowledged": True},
            ["cancellation"],
        ),
    ],
    ids=["on its own", "refused to start", "by the signal", "killed", "killed in its hooks", "swallowed, then killed"],
)
def test_cancelling_is_finished(
    conclude: Conclude, server: Server, hooks: list[str], ending: dict[str, Any], expected: list[str]
) -> None:
    """The run ends as Cancelled, and hooks run here only if the engine cannot have run them."""
    assert conclude("CANCELLING", **ending) == 0
    assert (_proposed(server), hooks) == (["CANCELLED"], expected)


@pytest.mark.parametrize(
    ("stop_reason", "code", "expected"),
    [("relinquish", 1, []), ("reschedule", 0, ["SCHEDULED"]), ("SIGTERM", 143, ["CRASHED"])],
)
def test_requested_end(conclude: Conclude, server: Server, stop_reason: str, code: int, expected: list[str]) -> None:
    """A relinquished run keeps its state, an unfinished reschedule is completed, and SIGTERM alone is a crash."""
    assert conclude("RUNNING", stop_reason=stop_reason, code=143) == code
    assert _proposed(server) == expected


def test_api_that_stays_unreachable(
    conclude: Conclude, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Retries stop with a last log line and an exit code other than 0."""
    monkeypatch.setattr(flow_run, "REPORT_POLICY", RetryPolicy(math.inf, 5, 0.5))
    server.on(f"POST {SET_STATE}", Answer(503))
    assert conclude("RUNNING", code=0) == 67
    assert "the worker has to report it, by the exit code" in capsys.readouterr().err
    assert len(server.to("POST", SET_STATE)) > 1


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        (Ending(137), "memory ran out"),
        (Ending(137, stop_reason="reschedule"), "prefect-uv killed the engine to reschedule the run."),
        (Ending(137, stop_reason="reschedule", acknowledged=True), "memory ran out"),
        (Ending(137, stop_reason="SIGTERM", killed_after=30), "SIGTERM arrived, the engine did not end within 30 s"),
    ],
    ids=["by the kernel", "by us", "by the kernel, in its clean-up", "by us, after the grace period"],
)
def test_reason_of_a_kill(ending: Ending, reason: str) -> None:
    """What we kill is not reported as out of memory."""
    assert reason in ending.explain()
