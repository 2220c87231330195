"""Staying as the engine's parent."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_uv.engine.launch import Launch
from prefect_uv.engine.supervise import OneSignal, supervise
from prefect_uv.process import STOP_SIGNALS
from prefect_uv.runlog import RunLog
from prefect_uv.session import Session
from tests.unit.conftest import MakeSettings
from tests.unit.test_process import wait_until

COUNT = """
import pathlib, signal, sys, time
seen = []
for name in ("SIGTERM", "SIGINT", "SIGHUP"):
    signal.signal(getattr(signal, name), lambda number, _: seen.append(signal.Signals(number).name))
pathlib.Path("ready").touch()
while not pathlib.Path("end").exists():
    time.sleep(0.01)
pathlib.Path("seen").write_text(" ".join(seen))
sys.exit(9)
"""


@pytest.fixture
def launch(tmp_path: Path) -> Callable[..., Launch]:
    """A maker of launches."""

    def make(*command: str) -> Launch:
        lease = os.open(tmp_path / "lease", os.O_RDWR | os.O_CREAT)
        return Launch(command, {"PATH": os.environ["PATH"]}, tmp_path, lease)

    return make


@pytest.fixture
def session(make_settings: MakeSettings, log: RunLog) -> Session:
    """A session of a command."""
    return Session(make_settings(), log)


@pytest.mark.parametrize("code", [0, 1, 3, 64, 125, 247, 255])
def test_exit_code_passes_through(launch: Callable[..., Launch], session: Session, code: int) -> None:
    """Whatever it is."""
    assert supervise(launch("sh", "-c", f"exit {code}"), session) == code


@pytest.mark.parametrize("name", ["TERM", "KILL", "SEGV", "ABRT"])
def test_killed_engine_gives_128_and_the_signal(launch: Callable[..., Launch], session: Session, name: str) -> None:
    """As a shell tells it."""
    expected = 128 + getattr(signal, f"SIG{name}")
    assert supervise(launch("sh", "-c", f"ulimit -c 0; kill -{name} $$"), session) == expected


@pytest.mark.parametrize("first", STOP_SIGNALS)
def test_exactly_one_sigterm_reaches_the_engine(
    launch: Callable[..., Launch], session: Session, tmp_path: Path, first: signal.Signals
) -> None:
    """However many signals of whatever kind arrive."""

    def storm() -> None:
        wait_until((tmp_path / "ready").exists)
        for signum in (first, *STOP_SIGNALS, *STOP_SIGNALS):
            os.kill(os.getpid(), signum)
            time.sleep(0.02)
        (tmp_path / "end").touch()

    thread = threading.Thread(target=storm, daemon=True)
    thread.start()
    assert supervise(launch(sys.executable, "-c", COUNT), session) == 9
    thread.join(5)
    assert (tmp_path / "seen").read_text() == "SIGTERM"


def test_no_signal_is_made_up(launch: Callable[..., Launch], session: Session, tmp_path: Path) -> None:
    """An engine that ends by itself never sees one."""
    (tmp_path / "end").touch()
    assert supervise(launch(sys.executable, "-c", COUNT), session) == 9
    assert (tmp_path / "seen").read_text() == ""


def test_signal_before_the_start_is_handed_on(launch: Callable[..., Launch]) -> None:
    """One that arrives while the process is being made reaches it as soon as it exists."""
    one_signal = OneSignal()
    os.kill(os.getpid(), signal.SIGINT)
    process = launch("sleep", "60").start()
    one_signal.attach(process)
    assert process.wait(5) == -signal.SIGTERM


def test_signal_after_the_end_is_nobodys(launch: Callable[..., Launch], session: Session) -> None:
    """A signal that comes when the engine is gone does no harm."""
    assert supervise(launch("true"), session) == 0
    os.kill(os.getpid(), signal.SIGTERM)
