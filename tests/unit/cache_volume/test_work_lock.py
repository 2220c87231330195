"""Claims among real processes: dead ones, silent ones, and those of other nodes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from prefect_uv.cache_volume import work_lock as lock_module
from prefect_uv.cache_volume.work_lock import WorkLock, holding_work_lock, is_abandoned

HOLD = """
import sys, time
from pathlib import Path
from prefect_uv.cache_volume.work_lock import WorkLock
claim = WorkLock(Path(sys.argv[1]))
assert claim.take()
claim.start_heartbeat()
print("held", flush=True)
time.sleep(60)
"""


@contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a claim."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, path], env=environ, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def never() -> bool:
    """The work is not done."""
    return False


def test_free_claim_is_taken_at_once(tmp_path: Path) -> None:
    """Nobody to wait for, nothing to say."""
    said: list[str] = []
    with holding_work_lock(tmp_path / "key", never, said.append):
        assert not WorkLock(tmp_path / "key").take()
    assert WorkLock(tmp_path / "key").take()
    assert said == []


def test_killed_holder_frees_the_claim(tmp_path: Path) -> None:
    """The kernel lets go for it: the next one has it at once."""
    path = tmp_path / "key"
    with holder(path) as process:
        assert not WorkLock(path).take()
        assert not is_abandoned(path, path.stat().st_mtime)
        process.kill()
        process.wait(10)
        with holding_work_lock(path, never, print):
            assert not WorkLock(path).take()
    assert is_abandoned(path, path.stat().st_mtime)


def test_silent_holder_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stopped process keeps its lock and beats no more: its file is taken away, and it is named."""
    monkeypatch.setattr(lock_module, "SILENT_SECONDS", 2.5)
    said: list[str] = []
    with holder(tmp_path / "key") as process:
        process.send_signal(signal.SIGSTOP)
        with holding_work_lock(tmp_path / "key", never, said.append):
            assert not WorkLock(tmp_path / "key").take()
    assert len(said) == 1
    assert re.fullmatch(rf".+ process {process.pid} has been silent for \d+ s: taking over", said[0])


def test_beating_holder_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that lives is never passed over for its silence; the wait has a bound all the same, and lines say so."""
    for name, value in {"SILENT_SECONDS": 2.5, "WAIT_SECONDS": 5.0, "STATUS_SECONDS": 1.0}.items():
        monkeypatch.setattr(lock_module, name, value)
    said: list[str] = []
    with holder(tmp_path / "key") as process, holding_work_lock(tmp_path / "key", never, said.append):
        assert not WorkLock(tmp_path / "key").take()
        assert process.poll() is None
    assert len(said) >= 2
    assert all(re.fullmatch(rf"waited \d+ s for .+ process {process.pid}", line) for line in said)


def test_waiter_goes_on_when_the_work_is_done(tmp_path: Path) -> None:
    """Without the claim, while the other one still holds it."""
    done = threading.Event()
    with holder(tmp_path / "key"):
        timer = threading.Timer(0.3, done.set)
        timer.start()
        with holding_work_lock(tmp_path / "key", done.is_set, print):
            assert done.is_set()
            assert not WorkLock(tmp_path / "key").take()
        timer.join()


def test_claim_of_another_node_lives_as_long_as_it_beats(tmp_path: Path) -> None:
    """Where locks do not cross nodes a free lock proves nothing, and only an old heartbeat does."""
    path = tmp_path / "key"
    path.write_text("another-boot-id host 1\n")
    now = path.stat().st_mtime
    assert not is_abandoned(path, now + 60)
    assert is_abandoned(path, now + 200)


def test_claim_of_this_node_needs_no_clock(tmp_path: Path) -> None:
    """A clock that was set back or forth changes nothing where the lock tells."""
    path = tmp_path / "key"
    path.write_text(Path("/proc/sys/kernel/random/boot_id").read_text())
    for skew in (-1e6, 1e6):
        assert is_abandoned(path, time.time() + skew)
