"""A rescheduled run stays rescheduled: the engine that is stopped does not set it to Running once more."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import pytest

from tests.unit.engine.test_supervisor_in_trouble import FLOW_RUN, RUN, Supervise, supervise
from tests.unit.http_server import Answer, Request, Server
from tests.unit.program.test_processes import wait_until

__all__ = ["supervise"]

RESCHEDULE_SECONDS = 0.1
RUNNING_AGAIN_AND_AGAIN = f"""
import http.client, json, os, pathlib, socket, sys, threading, urllib.parse
api = urllib.parse.urlsplit(os.environ["PREFECT_API_URL"])
def acknowledge():
    channel = socket.create_connection(("127.0.0.1", int(os.environ["PREFECT__CONTROL_PORT"])))
    channel.sendall(os.environ["PREFECT__CONTROL_TOKEN"].encode() + b"\\n")
    pathlib.Path("connected").touch()
    while channel.recv(1) == b"r":
        channel.sendall(b"a")
if sys.argv[1] == "acknowledges":
    threading.Thread(target=acknowledge, daemon=True).start()
while True:
    connection = http.client.HTTPConnection(api.netloc)
    connection.request("POST", api.path + "/flow_runs/{RUN}/set_state", json.dumps({{"state": {{"type": "RUNNING"}}}}))
    connection.getresponse().read()
    pathlib.Path("begun").touch()
"""


@pytest.mark.parametrize("engine", ["acknowledges", "does not listen"])
@pytest.mark.timeout(30)
def test_engine_that_proposes_running_while_it_is_stopped(
    supervise: Supervise, server: Server, tmp_path: Path, engine: str
) -> None:
    """Once the run is rescheduled, nothing of this attempt changes its state."""
    states = ["PENDING"]

    def document() -> Answer:
        state = {"id": str(len(states)), "type": states[-1], "name": states[-1].title()}
        return Answer(201, {"status": "ACCEPT", "id": RUN, "name": "brave-fox", "state": state})

    def set_state(request: Request) -> Answer:
        states.append(request.json["state"]["type"])
        time.sleep(RESCHEDULE_SECONDS if states[-1] == "SCHEDULED" else 0)
        return document()

    server.on(f"POST /api/flow_runs/{RUN}/set_state", set_state)
    variables = {"PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR": "reschedule"}
    parent = supervise(sys.executable, "-c", RUNNING_AGAIN_AND_AGAIN, engine, **variables)
    server.on(FLOW_RUN, lambda _: document())
    wait_until((tmp_path / ("connected" if engine == "acknowledges" else "begun")).exists)
    parent.send_signal(signal.SIGTERM)
    _, stderr = parent.communicate(timeout=20)
    assert (parent.returncode, states[-1]) == (0, "SCHEDULED"), f"{states[-5:]}\n{stderr}"
    assert states.count("SCHEDULED") == 1
