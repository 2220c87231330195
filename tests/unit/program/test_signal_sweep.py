"""A signal at any moment of a start ends it in a bounded time, with the run in a state that the exit code belongs to.

Starts are slowed down: an audit hook pauses whenever a file is opened, as on a slow volume, so that most moments fall
into imports. https://docs.python.org/3/library/sys.html#sys.addaudithook
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from images.family import ROOT
from prefect_uv.api.run_state import FINAL_STATES
from prefect_uv.image_facts import Image
from prefect_uv.processes.signals import STOP_SIGNALS
from tests.unit.etl import Etl
from tests.unit.http_server import Answer, Request, Server
from tests.unit.wheels import build_wheel

FULL = bool(os.environ.get("PREFECT_UV_TEST_FULL"))
SIGNALS = 2000 if FULL else 24
AT_ONCE = 6
END_SECONDS = 60
DEPLOYMENT = "11111111-2222-4333-8444-555555555555"
BEHAVIOR = "PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR"
BLOCK = ["env", "--block-signal=HUP,INT,QUIT,TERM"]
SLOW_START = """
import json, sys, time
sys.addaudithook(lambda event, _: time.sleep(0.002) if event == "open" else None)
from prefect_uv.image_facts import Image
facts = Image(**json.loads(sys.argv.pop()))
Image.read = classmethod(lambda *_: facts)
from prefect_uv.__main__ import main
main()
"""
ENGINE = """
import http.client, json, os, signal, time, urllib.parse
assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()), "signals are still blocked"
api = urllib.parse.urlsplit(os.environ["PREFECT_API_URL"])
def report(state):
    connection = http.client.HTTPConnection(api.netloc)
    path = f"{api.path}/flow_runs/{os.environ['PREFECT__FLOW_RUN_ID']}/set_state"
    connection.request("POST", path, json.dumps({"state": {"type": state}}))
    connection.getresponse().read()
report("RUNNING")
time.sleep(0.2)
report("COMPLETED")
"""
NO_HOOKS = "raise SystemExit"
"""Ends the program that runs the flow's hooks, which needs a real Prefect."""


@dataclass
class Api:
    """A Prefect API that keeps the states of flow runs; a final state stays."""

    server: Server
    states: dict[str, str] = field(default_factory=dict)

    def create_run(self) -> str:
        """A new run, Pending as a worker leaves it."""
        run = str(uuid4())
        self.states[run] = "PENDING"
        self.server.on(f"GET /api/flow_runs/{run}", lambda _: Answer(body=self._document(run)))
        self.server.on(f"POST /api/flow_runs/{run}/set_state", lambda request: self._propose(run, request))
        return run

    def _document(self, run: str) -> dict[str, Any]:
        state = {"id": str(uuid4()), "type": self.states[run], "name": self.states[run].title()}
        return {"id": run, "name": "brave-fox", "deployment_id": DEPLOYMENT, "state": state}

    def _propose(self, run: str, request: Request) -> Answer:
        over = self.states[run] in FINAL_STATES
        if not over:
            self.states[run] = request.json["state"]["type"]
        return Answer(201, {"status": "ABORT" if over else "ACCEPT", "state": self._document(run)["state"]})


@dataclass(frozen=True)
class SlowStarts:
    """Starts the real program for new runs of one project whose environment exists."""

    api: Api
    etl: Etl
    image: Image
    variables: Mapping[str, str]

    def start(self, behavior: str = "") -> tuple[str, subprocess.Popen[str]]:
        """Start a run; when this returns, the process has blocked the signals, as it does in the image."""
        run = self.api.create_run()
        environ = {**os.environ, **self.variables, "PREFECT__FLOW_RUN_ID": run, BEHAVIOR: behavior}
        words = [*BLOCK, sys.executable, "-c", SLOW_START, "run", json.dumps(asdict(self.image))]
        process = subprocess.Popen(
            words, cwd=self.etl.directory, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        while not _guards_itself(process.pid):
            time.sleep(0.0005)
        return run, process

    def end(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        """Wait for the end; return the exit code and what was printed, with the stacks of a process that hangs."""
        try:
            output = process.communicate(timeout=END_SECONDS)[0]
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            return 0, f"it hangs:\n{process.communicate()[0]}"
        return process.returncode, output

    def undisturbed(self) -> float:
        """The seconds that a start takes without a signal."""
        begun = time.monotonic()
        run, process = self.start()
        code, output = self.end(process)
        assert (self.api.states[run], code) == ("COMPLETED", 0), output
        return time.monotonic() - begun


def _guards_itself(pid: int) -> bool:
    """Whether a process has blocked SIGTERM, or has a handler for it.

    Its name does not tell: Linux 6.12 lets a parent go on before it changes the name of what is being executed.
    https://github.com/torvalds/linux/blob/v6.12/fs/exec.c (begin_new_exec)
    """
    masks = re.findall(r"^Sig(?:Blk|Cgt):\s*([0-9a-f]+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return any(int(mask, 16) >> (signal.SIGTERM - 1) & 1 for mask in masks)


@pytest.fixture
def starts(etl: Etl, server: Server, image: Image, tmp_path: Path) -> SlowStarts:
    """Slow starts of a project with a small engine."""
    files = {"prefect/__init__.py": "", "prefect/flow_engine.py": ENGINE, "prefect/flows.py": NO_HOOKS}
    build_wheel(etl.wheels, "prefect", "3.8.8", files)
    (etl.directory / "flow.py").write_text("")
    etl.lock()
    server.on(f"GET /api/deployments/{DEPLOYMENT}", Answer(body={"entrypoint": "flow.py:main", "path": "."}))
    server.on("POST /api/logs/", Answer(201))
    variables = {
        "PREFECT_API_URL": server.url,
        "PREFECT_UV_CACHE_DIR": str(tmp_path / "cache"),
        "PYTHONPATH": str(ROOT / "entrypoint" / "src"),
    }
    return SlowStarts(Api(server), etl, image, variables)


def _allowed(behavior: str, signum: signal.Signals) -> set[tuple[str, int]]:
    """The states and exit codes of a run that got this signal; it may have been over already."""
    ends = {
        "": {("CRASHED", 128 + signum)},
        "reschedule": {("SCHEDULED", 0)},
        "relinquish": {("PENDING", 1), ("RUNNING", 1)},
    }
    return {*ends[behavior], ("COMPLETED", 0)}


@pytest.mark.timeout(7200 if FULL else 240)
def test_signal_at_any_moment_of_a_slow_start(starts: SlowStarts) -> None:
    """No start hangs, dies unreported or prints a traceback, whichever signal arrives when, for every behavior."""
    starts.undisturbed()
    seconds = starts.undisturbed()

    def disturbed(number: int) -> str:
        behavior, signum = ("", "reschedule", "relinquish")[number % 3], STOP_SIGNALS[number % len(STOP_SIGNALS)]
        run, process = starts.start(behavior)
        moment = seconds * 1.5 * number / SIGNALS
        time.sleep(moment)
        process.send_signal(signum)
        code, output = starts.end(process)
        end = (starts.api.states[run], code)
        if end in _allowed(behavior, signum) and "Traceback" not in output and "error[internal]" not in output:
            return ""
        return f"{signum.name} after {moment:.3f} s, {behavior or 'no behavior'}: {end}\n{output}"

    with ThreadPoolExecutor(AT_ONCE) as pool:
        faults = list(filter(None, pool.map(disturbed, range(SIGNALS))))
    assert not faults, f"{len(faults)} of {SIGNALS}:\n" + "\n".join(faults)
