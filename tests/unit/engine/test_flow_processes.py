"""An engine that waits for processes ends in time: they are told to end after it, and what does not obey is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.engine.test_supervisor import SOURCES
from tests.unit.program.test_processes import wait_until

GRACE_SECONDS = 5
FINISH = f"""
import os, sys
from pathlib import Path
sys.path.insert(0, {str(SOURCES)!r})
from prefect_uv.engine.engine_process import EngineProcess, StopSignalled
from prefect_uv.engine.engine_version import EngineVersion
from prefect_uv.engine.launch import Launch
launch = Launch(sys.argv[1:], os.environ, Path.cwd(), (), sys.executable, EngineVersion.of("3.8.8"))
engine = EngineProcess(launch, {{}})
while not isinstance(engine.next(), StopSignalled):
    pass
engine.terminate()
killed_after = engine.finish({GRACE_SECONDS}, print)
print("killed the engine" if killed_after is not None else f"the engine ended with {{engine.code}}")
"""
ENGINE = """
import os, pathlib, signal, subprocess, sys, time

def note(word):
    with open("notes", "a") as file:
        file.write(word + "\\n")

class Interrupted(BaseException):
    pass

def interrupt(number, frame):
    note("engine" if os.getpid() == engine else "worker")
    raise Interrupted

def swallow():
    while True:
        try:
            time.sleep(60)
        except Interrupted:
            pass

engine = os.getpid()
signal.signal(signal.SIGTERM, interrupt)
"""
CASES = {
    "a pool of forked workers that go on": """
workers = []
while len(workers) < 3:
    workers.append(os.fork() or swallow())
pathlib.Path("ready").touch()
try:
    time.sleep(60)
finally:
    [os.waitpid(worker, 0) for worker in workers]
""",
    "a cluster in sessions of its own": """
nanny = "import os, time; os.setsid(); os.fork() or os.setsid(); print('up', flush=True); time.sleep(60)"
cluster = subprocess.Popen([sys.executable, "-c", nanny], stdout=subprocess.PIPE)
cluster.stdout.readline(), cluster.stdout.readline()
pathlib.Path("ready").touch()
try:
    time.sleep(60)
finally:
    cluster.stdout.read()
""",
    "a program that cleans up": """
trap = "trap 'echo program >> notes; sleep 1; touch cleaned; exit' TERM; touch ready; while :; do sleep 0.1; done"
program = subprocess.Popen(["sh", "-c", trap])
try:
    time.sleep(60)
finally:
    program.wait()
    note("cleaned" if pathlib.Path("cleaned").exists() else "not cleaned")
""",
    "a program that nobody waits for": """
trap = "trap 'sleep 1; echo cleaned >> notes; exit' TERM; touch ready; while :; do sleep 0.1; done"
subprocess.Popen(["setsid", "sh", "-c", trap])
time.sleep(60)
""",
    "a program that ignores the signal": """
program = subprocess.Popen(["sh", "-c", "trap '' TERM; touch ready; sleep 60; sleep 60"])
try:
    time.sleep(60)
finally:
    program.wait()
""",
    "a clean-up that starts a program": """
pathlib.Path("ready").touch()
try:
    time.sleep(60)
finally:
    done = subprocess.run(["sh", "-c", "sleep 3; echo tidied"], capture_output=True)
    note(f"{done.returncode} {done.stdout.decode().strip()}")
""",
}
NOTES = {
    "a pool of forked workers that go on": ["engine", "worker", "worker", "worker"],
    "a program that cleans up": ["engine", "program", "cleaned"],
    "a program that nobody waits for": ["engine", "cleaned"],
    "a clean-up that starts a program": ["engine", "0 tidied"],
}
KILLED = {"a pool of forked workers that go on", "a program that ignores the signal"}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> str:
    """What the engine waits for."""
    return str(request.param)


@pytest.fixture
def stopped(case: str, tmp_path: Path) -> Iterator[str]:
    """What is printed about an engine that is stopped while it waits."""
    command = [sys.executable, "-c", ENGINE + CASES[case]]
    with subprocess.Popen([sys.executable, "-c", FINISH, *command], cwd=tmp_path, stdout=subprocess.PIPE) as process:
        wait_until((tmp_path / "ready").exists, 20)
        process.send_signal(signal.SIGTERM)
        yield process.communicate(timeout=60)[0].decode()


def test_engine_ends_on_its_own(case: str, stopped: str, tmp_path: Path) -> None:
    """The engine is told first and once, each process once, and only a process that stays is killed."""
    assert stopped.splitlines()[-1] == "the engine ended with 1"
    assert ("that did not end after SIGTERM" in stopped) == (case in KILLED)
    assert (tmp_path / "notes").read_text().splitlines() == NOTES.get(case, ["engine"])
