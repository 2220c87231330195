"""A start that stops has a log text, a state of the flow run and an exit code."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from prefect_uv import recipe
from prefect_uv.api import flow_run
from prefect_uv.api.patience import RetryPolicy
from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.cache_volume.full_disk import write_file
from prefect_uv.cache_volume.run_claim import RunClaim
from prefect_uv.engine.start_up import early_engine
from prefect_uv.errors import LockfileMissingError
from prefect_uv.processes.signals import note_signals, pause
from prefect_uv.session import Session
from prefect_uv.session.run_lookup import ask
from prefect_uv.settings import DEPLOYMENT_VARIABLE
from prefect_uv.start import start
from tests.unit.http_server import Answer, Request, Server

RUN = "0c7a4b5e-1111-4222-8333-444455556666"
DEPLOYMENT = "11111111-2222-4333-8444-555555555555"
SET_STATE = f"/api/flow_runs/{RUN}/set_state"
STEPS = "prefect.deployments.steps"
HINT = "Run `uv lock`, commit uv.lock, and push."


@pytest.fixture
def environ(server: Server) -> dict[str, str]:
    """The environment that a worker gives to a flow run, which the server knows."""
    document = {"id": RUN, "name": "brave-fox", "deployment_id": DEPLOYMENT, "state": {"type": "PENDING"}}
    server.on(f"GET /api/flow_runs/{RUN}", Answer(body=document))
    server.on(f"GET /api/deployments/{DEPLOYMENT}", Answer(body={"entrypoint": "flow.py:main"}))
    server.on(f"POST {SET_STATE}", Answer(201, {"status": "ACCEPT"}))
    server.on("POST /api/logs/", Answer(201))
    return {
        "PREFECT_API_URL": server.url,
        "PREFECT__FLOW_RUN_ID": RUN,
        "PREFECT_API_KEY": "pnu_hush",
        "PREFECT_CLIENT_MAX_RETRIES": "0",
        "PREFECT_UV_API_WAIT_SECONDS": "0.01",
    }


def _crashed(server: Server) -> list[str]:
    states = [request.json["state"] for request in server.to("POST", SET_STATE)]
    return [state["message"] for state in states if state["type"] == "CRASHED"]


def _logged(server: Server) -> list[Any]:
    return [entry["message"] for request in server.to("POST", "/api/logs/") for entry in request.json]


def _asking(after_asking: Callable[[], int], *, execute: bool = True) -> Callable[[Session], int]:
    def verb(session: Session) -> int:
        session.phase("ask", ask, session, execute=execute)
        return after_asking()

    return verb


def _no_lock() -> int:
    message = "No uv.lock in /app with pnu_hush."
    raise LockfileMissingError(message, "many\nlines", HINT)


def test_exit_code_is_that_of_the_command(environ: dict[str, str], server: Server) -> None:
    """The command's return value is the exit code, no state is proposed, and the lines are in the run's log."""

    def verb(session: Session) -> int:
        ask(session, execute=True)
        session.log.info("asked")
        return 42

    assert start(verb, environ, []) == 42
    assert _crashed(server) == []
    assert _logged(server) == ["asked"]


@pytest.mark.parametrize("words", [[], ["sync", "--verbose"]])
def test_details_of_a_start(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A variable or an option makes a start log its details."""

    def verb(session: Session) -> int:
        session.log.detail("git clone")
        return 0

    assert start(verb, {} if words else {"PREFECT_UV_VERBOSE": "true"}, words) == 0
    assert capsys.readouterr().err == "prefect-uv: git clone\n"


def test_arguments_reach_the_command() -> None:
    """The session has the words after the command."""
    assert start(lambda session: len(session.options.command), {}, ["exec", "--", "python", "-V"]) == 2


def test_working_directory_is_the_code_without_a_flow_run() -> None:
    """Without a flow run, the API is not asked and the code is in the working directory."""

    def verb(session: Session) -> int:
        assert ask(session) == {"path": "."}
        return 0

    assert start(verb, {}, []) == 0


def test_error_is_in_log_and_state(environ: dict[str, str], server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """The complete text is on stderr and in the run's log, headline and hint are in the state, all without secrets."""
    assert start(_asking(_no_lock), environ, []) == LockfileMissingError.exit_code
    text = f"error[lockfile-missing]: No uv.lock in /app with ****.\n\nmany\nlines\n\nhint: {HINT}"
    assert "".join(f"prefect-uv: {line}\n" for line in text.splitlines()) in capsys.readouterr().err
    assert _logged(server)[-1] == text
    assert _crashed(server) == [f"error[lockfile-missing]: No uv.lock in /app with ****. hint: {HINT}"]


def test_unexpected_exception_shows_its_traceback(
    environ: dict[str, str], server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unexpected exception is a bug of ours: exit code 70, a traceback, and a request to report it."""

    def fail() -> int:
        return int("pnu_hush")

    assert start(_asking(fail), environ, []) == 70
    err = capsys.readouterr().err
    assert "prefect-uv: error[internal]: prefect-uv itself failed." in err
    assert "Traceback (most recent call last)" in err
    assert "ValueError: invalid literal for int() with base 10: '****'" in err
    assert _crashed(server)[0].startswith("error[internal]: prefect-uv itself failed. hint: ")


def test_secret_in_another_variable_is_not_shown(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """Secrets are masked in the error about invalid settings already."""
    wrong = {"PREFECT_UV_LOCK": "pnu_hush", "PREFECT_API_URL": "pnu_hush"}
    assert start(_asking(lambda: 0), {**environ, **wrong}, []) == 65
    assert "PREFECT_UV_LOCK=**** is not" in capsys.readouterr().err


def _fill_disk() -> int:
    write_file(Path("/dev/full"), "x")
    return 0


def test_full_disk_is_no_bug_of_ours(environ: dict[str, str], server: Server) -> None:
    """Wherever a disk is full, the error names the file system, in the state too."""
    assert start(_asking(_fill_disk), environ, []) == 77
    assert _crashed(server)[0].startswith("error[disk-full]: No space is left on /dev. hint: ")


def test_invalid_setting_is_in_log_and_state(environ: dict[str, str], server: Server) -> None:
    """The API is asked for the run alone; its log and its state show the mistake, without secrets."""
    wrong = {"PREFECT_UV_LOCK": "pnu_hush", "PREFECT_CLIENT_MAX_RETRIES": "few"}
    assert start(_asking(lambda: 0), {**environ, "PREFECT_UV_LOCK": "thawed"}, []) == 65
    (message,) = _crashed(server)
    assert message.startswith(
        "error[settings-invalid]: PREFECT_UV_LOCK=thawed is not one of locked, frozen, relock. hint: Correct"
    )
    assert _logged(server)[-1].startswith("error[settings-invalid]: PREFECT_UV_LOCK=thawed")
    assert server.to("GET", f"/api/deployments/{DEPLOYMENT}") == []
    assert start(_asking(lambda: 0), {**environ, **wrong}, []) == 65
    assert "PREFECT_CLIENT_MAX_RETRIES=few is not a whole number up to 999999999\n" in _logged(server)[-1]
    assert "PREFECT_UV_LOCK=**** is not one of" in _logged(server)[-1]
    assert _crashed(server)[-1].startswith(
        "error[settings-invalid]: 2 settings are invalid: PREFECT_CLIENT_MAX_RETRIES, PREFECT_UV_LOCK. hint: "
    )


@pytest.mark.parametrize("name", ["PREFECT_API_URL", "PREFECT__FLOW_RUN_ID"])
def test_invalid_setting_without_a_known_api(
    environ: dict[str, str], server: Server, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """If what is invalid leads to the run, only stderr shows it."""
    assert start(_asking(lambda: 0), {**environ, name: "nonsense"}, []) == 65
    assert server.requests == []
    assert f"error[settings-invalid]: {name}=nonsense " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([], "error[flow-file-missing]: The deployment's entrypoint flow.py:main is not in HERE. Nothing was pulled. "),
        ([{f"{STEPS}.set_working_directory": {"directory": "."}}], "Nothing was pulled. "),
        ([{f"{STEPS}.run_shell_script": {"script": "true"}}], "is not in HERE. hint: Push the file"),
    ],
)
def test_code_that_was_not_pulled(  # noqa: PLR0913, PLR0917 (fixtures)
    environ: dict[str, str],
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    steps: list[Any],
    message: str,
) -> None:
    """If no step can have fetched the code, the state says so, and what to add."""
    monkeypatch.chdir(tmp_path)
    server.on(f"GET /api/deployments/{DEPLOYMENT}", Answer(body={"entrypoint": "flow.py:main", "pull_steps": steps}))
    assert start(recipe.sync, {**environ, "PREFECT_UV_BAKED_DIR": str(tmp_path)}, []) == 72
    (crashed,) = _crashed(server)
    assert message.replace("HERE", str(tmp_path)) in crashed
    assert ("add `git_clone` to its pull steps" in crashed) == ("Nothing" in message)


def test_deployment_that_the_worker_names_is_asked_for_with_the_run(environ: dict[str, str], server: Server) -> None:
    """The API is asked for both at the same time; a start that needs no deployment asks for none."""
    environ[DEPLOYMENT_VARIABLE] = DEPLOYMENT
    asked = threading.Event()

    def deployment(_: Request) -> Answer:
        asked.set()
        return Answer(body={"id": DEPLOYMENT, "entrypoint": "flow.py:main"})

    def run(_: Request) -> Answer:
        found = {"name": "brave-fox", "deployment_id": DEPLOYMENT, "state": {"type": "PENDING"}}
        return Answer(body=found) if asked.wait(10) else Answer(404)

    server.on(f"GET /api/deployments/{DEPLOYMENT}", deployment)
    server.on(f"GET /api/flow_runs/{RUN}", run)
    assert start(_asking(lambda: 3), environ, []) == 3
    assert start(_asking(lambda: 3), {**environ, "PREFECT_UV_LOCK": "thawed"}, []) == 65
    assert len(server.to("GET", f"/api/deployments/{DEPLOYMENT}")) == 1


def test_failure_before_the_api_was_asked(environ: dict[str, str], server: Server) -> None:
    """Whatever stops a start before it asks the API is in the run's log and state, too."""
    assert start(lambda _: _no_lock(), environ, []) == LockfileMissingError.exit_code
    assert _crashed(server)[0].startswith("error[lockfile-missing]: ")
    assert _logged(server)[-1].startswith("error[lockfile-missing]: ")


def test_failure_before_the_api_was_asked_about_a_cancelled_run(environ: dict[str, str], server: Server) -> None:
    """The run ends as Cancelled: the server does not let one that is Cancelling crash."""
    document = {"id": RUN, "name": "brave-fox", "deployment_id": DEPLOYMENT, "state": {"type": "CANCELLING"}}
    server.on(f"GET /api/flow_runs/{RUN}", Answer(body=document))
    server.on(f"POST {SET_STATE}", Answer(200, {"status": "REJECT", "state": {"type": "CANCELLING"}}))
    assert start(_asking(lambda: 0), {**environ, "PREFECT_UV_LOCK": "thawed"}, []) == 0
    assert [request.json["state"]["type"] for request in server.to("POST", SET_STATE)] == ["CRASHED", "CANCELLED"]


@pytest.mark.parametrize(
    ("route", "answer", "code"),
    [
        (f"GET /api/flow_runs/{RUN}", Answer(404), 66),
        (f"GET /api/deployments/{DEPLOYMENT}", Answer(404), 66),
        (f"GET /api/flow_runs/{RUN}", Answer(503), 67),
        (f"GET /api/flow_runs/{RUN}", Answer(401), 68),
        (f"GET /api/flow_runs/{RUN}", Answer(500), 67),
        (f"GET /api/flow_runs/{RUN}", Answer(409), 68),
        (f"GET /api/flow_runs/{RUN}", Answer(body=b"<!doctype html>"), 68),
    ],
)
def test_api_failures_have_their_exit_codes(
    environ: dict[str, str], server: Server, route: str, answer: Answer, code: int
) -> None:
    """Each kind of API failure has the exit code of its error family."""
    server.on(route, answer)
    assert start(_asking(lambda: 0), environ, []) == code


def test_deleted_deployment_crashes_the_run(environ: dict[str, str], server: Server) -> None:
    """The state of a run whose deployment was deleted says so."""
    server.on(f"GET /api/deployments/{DEPLOYMENT}", Answer(404))
    assert start(_asking(lambda: 0), environ, []) == 66
    assert _crashed(server)[0].startswith("error[deployment-not-found]: The deployment of flow run brave-fox no longer")


@pytest.mark.parametrize("state", ["CANCELLING", "CANCELLED", "COMPLETED"])
def test_run_that_is_over_ends_with_zero(environ: dict[str, str], server: Server, state: str) -> None:
    """A run that is over or being cancelled is not a failure."""
    document = {"name": "brave-fox", "deployment_id": DEPLOYMENT, "state": {"type": state, "name": state.title()}}
    server.on(f"GET /api/flow_runs/{RUN}", Answer(body=document))
    assert start(_asking(lambda: 1), environ, []) == 0
    assert _crashed(server) == []


@pytest.mark.parametrize(
    "answer", [Answer(500), Answer(503), Answer(401), Answer(404), Answer(200, b"<!doctype html>")]
)
def test_state_that_cannot_be_set_keeps_the_exit_code(
    environ: dict[str, str],
    server: Server,
    answer: Answer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If the API rejects Crashed (404: the run was deleted), the error is still logged and keeps its exit code."""
    monkeypatch.setattr(flow_run, "REPORT_POLICY", RetryPolicy(1, 5))
    server.on(f"POST {SET_STATE}", answer)
    assert start(_asking(_no_lock), environ, []) == LockfileMissingError.exit_code
    assert "error[lockfile-missing]" in capsys.readouterr().err


def _stopped() -> int:
    os.kill(os.getpid(), signal.SIGTERM)
    pause(5)
    return 0


def test_signal_before_the_flow(environ: dict[str, str], server: Server) -> None:
    """A signal to stop crashes the run, and the exit code is 128 + n."""
    note_signals()
    assert start(_asking(_stopped), environ, []) == 128 + signal.SIGTERM
    assert _crashed(server) == ["SIGTERM arrived before the flow started."]


def test_signal_while_the_volume_does_not_answer(
    environ: dict[str, str], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The note of the last start is on the volume, and is looked for before anything else: a signal ends that, too."""
    released, ended = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        released.wait(5)
        ended.set()

    monkeypatch.setattr(early_engine, "start_early", hang)
    note_signals()
    try:
        assert start(recipe.run, environ, []) == 128 + signal.SIGTERM
        assert not ended.is_set()
    finally:
        released.set()
    assert _crashed(server) == ["SIGTERM arrived before the flow started."]


@pytest.mark.parametrize("late", [Answer(trouble="drops"), Answer(503), Answer(502, {"detail": "no upstream"})])
def test_api_that_is_late(environ: dict[str, str], server: Server, late: Answer) -> None:
    """A run waits for an API that is still starting, though it has no retries; later requests do not."""
    environ["PREFECT_UV_API_WAIT_SECONDS"] = "60"
    document = {"id": RUN, "name": "brave-fox", "deployment_id": DEPLOYMENT, "state": {"type": "PENDING"}}
    server.on(f"GET /api/flow_runs/{RUN}", late, Answer(body=document))
    assert start(_asking(lambda: 0), environ, []) == 0
    server.on(f"GET /api/deployments/{DEPLOYMENT}", late)
    assert start(_asking(lambda: 0), environ, []) == 67


@pytest.mark.parametrize(
    ("behavior", "ending"), [("", ("CRASHED", 143)), ("reschedule", ("SCHEDULED", 0)), ("relinquish", ("", 1))]
)
def test_signal_before_the_api_was_asked(
    environ: dict[str, str], server: Server, behavior: str, ending: tuple[str, int]
) -> None:
    """The run is asked for then, ends as if the signal had come later, and its log has the line about the signal."""
    note_signals()
    os.kill(os.getpid(), signal.SIGTERM)
    code = start(_asking(lambda: 0), {**environ, "PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR": behavior}, [])
    states = [request.json["state"]["type"] for request in server.to("POST", SET_STATE)]
    assert ("".join(states), code) == ending
    assert "SIGTERM arrived before the flow started." in _logged(server)


def test_signal_before_the_api_was_asked_that_is_away(
    environ: dict[str, str], server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    """The API gets two attempts; then the exit code alone says what happened."""
    note_signals()
    server.on(f"GET /api/flow_runs/{RUN}", Answer(503))
    os.kill(os.getpid(), signal.SIGTERM)
    assert start(_asking(lambda: 0), {**environ, "PREFECT_CLIENT_MAX_RETRIES": "9"}, []) == 143
    assert len(server.requests) == 2
    assert "the flow run's state cannot be set: The Prefect API at" in capsys.readouterr().err


@pytest.fixture
def executing(environ: dict[str, str], tmp_path: Path) -> Iterator[RunClaim]:
    """Another container, with the same cache volume, that executes the run."""
    environ["PREFECT_UV_CACHE_DIR"] = str(tmp_path)
    claim = RunClaim(CacheDirectory(tmp_path, {os.geteuid()}, tmp_path), RUN)
    assert claim.take()
    yield claim
    claim.release()


@pytest.mark.usefixtures("executing")
@pytest.mark.parametrize(("behavior", "code"), [("", 0), ("reschedule", 0), ("relinquish", 1)])
def test_stopped_while_another_container_executes_the_run(
    environ: dict[str, str], server: Server, behavior: str, code: int
) -> None:
    """A second container waits; if it is stopped meanwhile, it sets no state."""
    note_signals()

    def stop(_: Request) -> Answer:
        os.kill(os.getpid(), signal.SIGTERM)
        return Answer(201)

    note_signals()
    server.on("POST /api/logs/", stop)
    environ["PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR"] = behavior
    assert start(_asking(lambda: 42), environ, []) == code
    assert "executes this flow run: waiting until it has ended" in _logged(server)[0]
    assert server.to("POST", SET_STATE) == []


@pytest.mark.usefixtures("executing")
def test_stopped_before_the_api_was_asked_about_an_executed_run(environ: dict[str, str], server: Server) -> None:
    """A signal that arrives before we know of the other container leaves the run alone, too."""

    def stop(_: Session) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        pause(5)
        return 42

    note_signals()
    assert start(stop, environ, []) == 0
    assert server.to("POST", SET_STATE) == []


@pytest.mark.parametrize(("state", "code"), [("RUNNING", 42), ("COMPLETED", 0)])
def test_second_container_goes_by_the_state_after_the_first(
    environ: dict[str, str], server: Server, executing: RunClaim, state: str, code: int
) -> None:
    """When the first container has ended, the run is executed, unless it is over by then."""

    def end_the_first(_: Request) -> Answer:
        document = {"id": RUN, "name": "brave-fox", "deployment_id": DEPLOYMENT, "state": {"type": state}}
        server.on(f"GET /api/flow_runs/{RUN}", Answer(body=document))
        executing.release()
        return Answer(201)

    server.on("POST /api/logs/", end_the_first)
    assert start(_asking(lambda: 42), environ, []) == code


@pytest.mark.usefixtures("executing")
def test_other_commands_leave_an_executed_run_alone(environ: dict[str, str], server: Server) -> None:
    """`prefect-uv exec` next to a run does not wait for it, and never crashes it."""
    assert start(_asking(_no_lock, execute=False), environ, []) == LockfileMissingError.exit_code
    assert server.to("POST", SET_STATE) == []


def test_second_signal_is_ignored(environ: dict[str, str], server: Server) -> None:
    """A second signal while the state is being set changes nothing."""
    note_signals()

    def signal_again(_: Request) -> Answer:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)
        return Answer(201, {"status": "ACCEPT"})

    server.on(f"POST {SET_STATE}", signal_again)
    assert start(_asking(_stopped), environ, []) == 128 + signal.SIGTERM


def test_hanging_log_delays_the_end_for_a_bounded_time(
    environ: dict[str, str], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An API that hangs on log lines delays the end for a bounded time only."""
    monkeypatch.setattr("prefect_uv.log.run_log.FLUSH_SECONDS", 0.2)
    release, answered = threading.Event(), threading.Event()

    def hang(_: Request) -> Answer:
        release.wait(20)
        answered.set()
        return Answer(201)

    server.on("POST /api/logs/", hang)
    assert start(_asking(lambda: 3), environ, []) == 3
    assert not answered.is_set()
    release.set()


@pytest.mark.parametrize("ending", ["returns", "fails"])
def test_scratch_directory_is_removed_at_the_end(ending: str) -> None:
    """The scratch directory is removed whether the start succeeds or fails."""
    directories: list[Path] = []

    def verb(session: Session) -> int:
        directories.append(session.scratch())
        (directories[0] / "lib").mkdir()
        return 0 if ending == "returns" else _no_lock()

    assert start(verb, {}, []) == (0 if ending == "returns" else 73)
    assert not directories[0].exists()
