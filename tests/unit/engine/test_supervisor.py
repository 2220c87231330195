"""A supervisor in its own process passes on exit codes, output and one SIGTERM, and leaves no process behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prefect_uv.engine.start_up.engine_start import RUN_MODULE
from prefect_uv.processes.signals import STOP_SIGNALS
from tests.unit.program.test_processes import wait_until

SOURCES = Path(__file__).parents[3] / "entrypoint" / "src"
SUPERVISE = f"""
import os, sys
from pathlib import Path
sys.path.insert(0, {str(SOURCES)!r})
from prefect_uv.engine.launch import Launch
from prefect_uv.engine.start_up.engine_start import RUN_MODULE
from prefect_uv.engine.supervisor import supervise_command
from prefect_uv.engine.engine_version import EngineVersion
from prefect_uv.log.mask import Mask
from prefect_uv.log.run_log import RunLog
from prefect_uv.session import Session
from prefect_uv.settings import Settings
lease = os.open("lease", os.O_RDWR | os.O_CREAT)
engine = EngineVersion.of("3.8.8")
wrapped = str(RUN_MODULE) in sys.argv
launch = Launch(sys.argv[1:], os.environ, Path.cwd(), (lease,), sys.executable, engine, wrapped)
sys.exit(supervise_command(launch, Session(Settings(), RunLog(Mask()))))
"""
COUNT_SIGNALS = """
import pathlib, signal, sys, time
seen = []
def note(number, _):
    seen.append(signal.Signals(number).name)
    pathlib.Path("signalled").touch()
for name in ("SIGTERM", "SIGINT", "SIGHUP"):
    signal.signal(getattr(signal, name), note)
pathlib.Path("ready").touch()
while not pathlib.Path("end").exists():
    time.sleep(0.01)
pathlib.Path("seen").write_text(" ".join(seen))
sys.exit(9)
"""

Supervise = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Supervise]:
    """Start a process that supervises a command."""
    started: list[subprocess.Popen[str]] = []

    def start(*command: str) -> subprocess.Popen[str]:
        arguments = [sys.executable, "-c", SUPERVISE, *command]
        started.append(
            subprocess.Popen(arguments, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
        return started[-1]

    yield start
    for process in started:
        with process:  # does not wait for those that may hold its streams
            process.kill()


@pytest.mark.parametrize("code", [0, 1, 3, 64, 125, 247, 255])
def test_exit_code_passes_through(supervise: Supervise, code: int) -> None:
    """The supervisor exits with the command's exit code."""
    assert supervise("sh", "-c", f"exit {code}").wait(20) == code


@pytest.mark.parametrize("name", ["TERM", "KILL", "SEGV", "ABRT"])
def test_killed_process_gives_128_and_the_signal(supervise: Supervise, name: str) -> None:
    """A signal that kills the command gives 128 and its number, as in a shell."""
    expected = 128 + getattr(signal, f"SIG{name}")
    assert supervise("sh", "-c", f"ulimit -c 0; kill -{name} $$").wait(20) == expected


@pytest.mark.parametrize("first", STOP_SIGNALS)
def test_exactly_one_sigterm_reaches_it(supervise: Supervise, tmp_path: Path, first: signal.Signals) -> None:
    """The command gets one SIGTERM, however many stop signals of any kind arrive."""
    parent = supervise(sys.executable, "-c", COUNT_SIGNALS)
    wait_until((tmp_path / "ready").exists)
    for signum in (first, *STOP_SIGNALS, *STOP_SIGNALS):
        parent.send_signal(signum)
        time.sleep(0.02)
    (tmp_path / "end").touch()
    assert parent.wait(20) == 9
    assert (tmp_path / "seen").read_text() == "SIGTERM"


@pytest.mark.parametrize("wrapper", ['"$@"; exit $?', '"$@" & wait; wait $!', 'exec "$@"'])
def test_only_the_engine_below_a_wrapper_gets_the_sigterm(supervise: Supervise, tmp_path: Path, wrapper: str) -> None:
    """A wrapper that stays as a parent survives the signal, and passes on the engine's exit code."""
    (tmp_path / "prefect.py").touch()
    (tmp_path / "engine.py").write_text(COUNT_SIGNALS)
    trap = "trap 'touch wrapper-got-it' TERM"
    parent = supervise("sh", "-c", f"{trap}; {wrapper}", "sh", sys.executable, str(RUN_MODULE), "engine")
    wait_until((tmp_path / "ready").exists)
    parent.send_signal(signal.SIGTERM)
    wait_until((tmp_path / "signalled").exists)
    (tmp_path / "end").touch()
    assert parent.wait(20) == 9
    assert (tmp_path / "seen").read_text() == "SIGTERM"
    assert not (tmp_path / "wrapper-got-it").exists()


def test_command_that_ends_on_its_own_gets_no_signal(supervise: Supervise, tmp_path: Path) -> None:
    """The supervisor sends no signal to a command that ends on its own."""
    (tmp_path / "end").touch()
    assert supervise(sys.executable, "-c", COUNT_SIGNALS).wait(20) == 9
    assert (tmp_path / "seen").read_text() == ""


def test_output_passes_through(supervise: Supervise) -> None:
    """Both streams pass through completely, including a last line without a newline."""
    parent = supervise("sh", "-c", "seq 1 20000 >&2; echo out; printf last >&2")
    stdout, stderr = parent.communicate(timeout=20)
    assert (stdout, stderr) == ("out\n", "".join(f"{number}\n" for number in range(1, 20001)) + "last")


def test_nothing_is_left_of_it(supervise: Supervise, tmp_path: Path) -> None:
    """Nothing survives the command, not even a process in its own session whose parent has died."""
    script = "setsid sh -c 'echo $$ > orphan; exec sleep 100' & until [ -s orphan ]; do sleep 0.01; done"
    assert supervise("sh", "-c", script).wait(20) == 0
    orphan = int((tmp_path / "orphan").read_text())
    assert not Path(f"/proc/{orphan}").exists()


def test_orphan_of_a_command_that_ends_at_once(supervise: Supervise, tmp_path: Path) -> None:
    """We are the parent of orphans before the command begins, however soon it ends."""
    supervise("sh", "-c", "setsid sleep 100 & echo $! > orphan").wait(20)
    assert not Path(f"/proc/{(tmp_path / 'orphan').read_text().strip()}").exists()


def test_long_run_leaves_no_zombies(supervise: Supervise, tmp_path: Path) -> None:
    """Orphans that end while the command still runs are reaped."""
    script = "(sleep 0.1 & echo $! > orphan); touch begun; until [ -e end ]; do sleep 0.01; done"
    parent = supervise("sh", "-c", script)
    wait_until((tmp_path / "begun").exists)
    orphan = Path(f"/proc/{(tmp_path / 'orphan').read_text().strip()}")
    wait_until(lambda: not orphan.exists())
    (tmp_path / "end").touch()
    assert parent.wait(20) == 0
