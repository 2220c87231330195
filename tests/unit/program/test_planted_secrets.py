"""A secret of any alphabet, planted wherever text leaves the program, arrives nowhere."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.commands.cache import cache as cache_command
from prefect_uv.commands.doctor import doctor
from prefect_uv.environments.key.environment_contents import Contents
from prefect_uv.environments.key.manifest import Manifest
from prefect_uv.environments.uv.uv_command import Uv
from prefect_uv.errors import LockfileMissingError
from prefect_uv.image_facts import Image
from prefect_uv.pull import pull
from prefect_uv.record.recorder import Recorder
from prefect_uv.session import Session
from prefect_uv.session.run_lookup import ask
from prefect_uv.start import start
from tests.unit.http_server import Answer, Server
from tests.unit.spellings import SPELLINGS, secrets, spelled

FULL = bool(os.environ.get("PREFECT_UV_TEST_FULL"))
RUN = "0c7a4b5e-1111-4222-8333-444455556666"
DEPLOYMENT = "22222222-2222-4333-8444-555555555555"
STEPS = "prefect.deployments.steps"
STACK = re.compile(r"(?m)^(?:Current thread|Thread) 0x.*$|^  File .*$")
Place = Callable[[Session, Server, str], int]


def lines_of_the_log(session: Session, _server: Server, text: str) -> int:
    """Every level, and what `prefect-uv` prints."""
    for write in (session.log.info, session.log.warning, session.log.error, session.log.show):
        write(text)
    return 0


def error(_session: Session, _server: Server, text: str) -> int:
    """Headline, details and hint of an error; the first and the last are in the state, too."""
    raise LockfileMissingError(text, text, text)


def bug(_session: Session, _server: Server, text: str) -> int:
    """The traceback of an error that we did not expect, and of the one that it came from."""
    try:
        return {"": 0}[text]
    except KeyError as cause:
        raise ValueError(text) from cause


def thread(_session: Session, _server: Server, text: str) -> int:
    """The traceback of an error that ends a thread."""

    def fail() -> None:
        raise ValueError(text)

    failing = threading.Thread(target=fail)
    failing.start()
    failing.join()
    return 0


def pull_step(session: Session, _server: Server, text: str) -> int:
    """What a command of a pull step prints, and again as part of its error."""
    Path("text").write_bytes(text.encode())
    for script in ("cat text", "sh -c 'cat text >&2; exit 1'"):
        step = {f"{STEPS}.run_shell_script": {"script": script}}
        pull({"pull_steps": [step]}, session.settings, session.log, None)
    return 0


def git(session: Session, _server: Server, text: str) -> int:
    """What git prints, here about an address."""
    step = {f"{STEPS}.git_clone": {"repository": f"file:///nowhere/{text}"}}
    pull({"pull_steps": [step]}, session.settings, session.log, None)
    return 0


def uv(session: Session, _server: Server, text: str) -> int:
    """What uv prints, here about a requirement."""
    Path("requirements.txt").write_bytes(text.encode())
    cache = CacheDirectory(session.settings.cache_dir, (), session.settings.cache_dir / "uv")
    Uv(session.settings, Image.read(), cache, session.log).run_checked("pip", "install", "-r", "requirements.txt")
    return 0


def doctor_reports(session: Session, server: Server, text: str) -> int:
    """What an API, or a proxy in front of it, answers."""
    server.on("GET /api/admin/version", Answer(500, text.encode()))
    doctor(session)
    server.on("GET /api/admin/version", Answer(200, text))
    return doctor(session)


def cache_lists(session: Session, _server: Server, text: str) -> int:
    """The names of projects."""
    environment = CacheDirectory(session.settings.cache_dir, (), Path()).environments / ("0" * 64)
    environment.mkdir(parents=True, exist_ok=True)
    Manifest(environment.name, text, 0.0, Contents("0.13", "python3.13", "3.13.5", "", (), {})).write(environment)
    return cache_command(session)


def record(session: Session, server: Server, text: str) -> int:
    """The record of a start that fails, on stderr and on the run's page."""
    server.on("POST /api/artifacts/", Answer(201, {}))
    session.settings = replace(session.settings, record=("stderr", "artifact"))
    session.recorder = Recorder(session, "run")
    raise LockfileMissingError(text)


def status(session: Session, _server: Server, text: str) -> int:
    """What SIGUSR1 prints."""
    session.status = lambda: text
    os.kill(os.getpid(), signal.SIGUSR1)
    return 0


PLACES = (lines_of_the_log, error, bug, thread, pull_step, git, uv, doctor_reports, cache_lists, record, status)


def asked(place: Place, server: Server, text: str) -> Callable[[Session], int]:
    """A command that asks the API for the flow run first, so that the log goes there."""

    def verb(session: Session) -> int:
        ask(session)
        return place(session, server, text)

    return verb


def left_us(server: Server, capture: pytest.CaptureFixture[str]) -> str:
    """All text that left us since the last call: stdout, stderr without stacks, log lines, states and artifacts."""
    stdout, stderr = capture.readouterr()
    logged = [entry["message"] for request in server.to("POST", "/api/logs/") for entry in request.json]
    proposed = server.to("POST", f"/api/flow_runs/{RUN}/set_state")
    states = [request.json["state"]["message"] for request in proposed]
    artifacts = [request.json["data"] for request in server.to("POST", "/api/artifacts/")]
    server.requests.clear()
    return "\n".join([stdout, STACK.sub("", stderr), *logged, *states, *artifacts])


@pytest.mark.usefixtures("this_image")
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
@settings(max_examples=500 if FULL else 12, derandomize=not FULL, suppress_health_check=list(HealthCheck))
@given(secret=secrets(), written=st.lists(st.sampled_from(sorted(SPELLINGS)), max_size=1))
def test_planted_secret_leaves_nowhere(  # noqa: PLR0913, PLR0917 (fixtures)
    place: Place,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    secret: str,
    written: list[str],
) -> None:
    """An auth string with this secret is in the text, as some program writes it; it appears in no form."""
    run = {"id": RUN, "name": "brave-fox", "deployment_id": DEPLOYMENT, "state": {"type": "PENDING"}}
    server.on(f"GET /api/flow_runs/{RUN}", Answer(body=run))
    server.on(f"GET /api/deployments/{DEPLOYMENT}", Answer(body={"entrypoint": "flow.py:main"}))
    server.on(f"POST /api/flow_runs/{RUN}/set_state", Answer(201, {"status": "ACCEPT"}))
    server.on("POST /api/logs/", Answer(201))
    monkeypatch.chdir(tmp_path)
    environ = {
        "HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
        "PREFECT_API_URL": server.url,
        "PREFECT_API_AUTH_STRING": f"admin:{secret}",
        "PREFECT_CLIENT_MAX_RETRIES": "0",
        "PREFECT_UV_API_WAIT_SECONDS": "0.01",
        "PREFECT__FLOW_RUN_ID": RUN,
        "PREFECT_UV_CACHE_DIR": str(tmp_path / "cache"),
    }
    start(asked(place, server, f"before {spelled(secret, *written)} after"), environ, [])
    left = left_us(server, capfd)
    assert "****" in left
    forms = {spelled(line.strip(), name) for line in (secret, *secret.split("\n")) for name in SPELLINGS}
    assert [form for form in forms if form.strip("'\"") in left] == []
