"""Work locks among real processes: dead, silent, and on other nodes."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from prefect_uv.cache_volume import work_lock as lock_module
from prefect_uv.cache_volume.work_lock import WorkLock, holding_work_lock, is_abandoned
from tests.unit.cache_volume.holders import holding_process

HOLDER_CODE = """
import sys, time
from pathlib import Path
from prefect_uv.cache_volume.work_lock import WorkLock
lock = WorkLock(Path(sys.argv[1]))
assert lock.take()
lock.start_heartbeat()
print("held", flush=True)
time.sleep(60)
"""


def holder(path: Path) -> AbstractContextManager[subprocess.Popen[str]]:
    """Another process that holds a work lock."""
    return holding_process(HOLDER_CODE, str(path))


def never() -> bool:
    """Say that the work is not done."""
    return False


def test_free_lock_is_taken_immediately(tmp_path: Path) -> None:
    """There is no wait and no log line."""
    lines: list[str] = []
    with holding_work_lock(tmp_path / "key", never, lines.append):
        assert not WorkLock(tmp_path / "key").take()
    assert WorkLock(tmp_path / "key").take()
    assert lines == []


def test_killed_holder_frees_the_lock(tmp_path: Path) -> None:
    """The kernel drops its lock, and the next process gets it immediately."""
    path = tmp_path / "key"
    with holder(path) as process:
        assert not WorkLock(path).take()
        assert not is_abandoned(path, path.stat().st_mtime)
        process.kill()
        process.wait(10)
        with holding_work_lock(path, never, print):
            assert not WorkLock(path).take()
    assert is_abandoned(path, path.stat().st_mtime)


def test_silent_holder_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stopped process keeps its lock but sends no heartbeat: its file is removed, and the log names it."""
    monkeypatch.setattr(lock_module, "SILENT_SECONDS", 2.5)
    lines: list[str] = []
    with holder(tmp_path / "key") as process:
        process.send_signal(signal.SIGSTOP)
        with holding_work_lock(tmp_path / "key", never, lines.append):
            assert not WorkLock(tmp_path / "key").take()
    assert len(lines) == 1
    assert re.fullmatch(rf".+ process {process.pid} has been silent for \d+ s: taking over", lines[0])


def test_living_holder_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A holder with a heartbeat is never replaced; the wait is logged, and bounded all the same."""
    for name, value in {"SILENT_SECONDS": 2.5, "WAIT_SECONDS": 5.0, "STATUS_SECONDS": 1.0}.items():
        monkeypatch.setattr(lock_module, name, value)
    lines: list[str] = []
    with holder(tmp_path / "key") as process, holding_work_lock(tmp_path / "key", never, lines.append):
        assert not WorkLock(tmp_path / "key").take()
        assert process.poll() is None
    assert len(lines) >= 2
    assert all(re.fullmatch(rf"waited \d+ s for .+ process {process.pid}", line) for line in lines)


def test_waiter_goes_on_when_the_work_is_done(tmp_path: Path) -> None:
    """It goes on without the lock, while the other process still holds it."""
    done = threading.Event()
    with holder(tmp_path / "key"):
        timer = threading.Timer(0.3, done.set)
        timer.start()
        with holding_work_lock(tmp_path / "key", done.is_set, print):
            assert done.is_set()
            assert not WorkLock(tmp_path / "key").take()
        timer.join()


def test_lock_of_another_node_is_abandoned_without_a_heartbeat(tmp_path: Path) -> None:
    """Locks may not cross nodes, so that a free lock proves nothing and only an old heartbeat does."""
    path = tmp_path / "key"
    path.write_text("another-boot-id host 1\n")
    now = path.stat().st_mtime
    assert not is_abandoned(path, now + 60)
    assert is_abandoned(path, now + 200)


def test_lock_of_this_node_needs_no_clock(tmp_path: Path) -> None:
    """A clock that is wrong changes nothing, because the lock itself decides."""
    path = tmp_path / "key"
    path.write_text(Path("/proc/sys/kernel/random/boot_id").read_text())
    for skew in (-1e6, 1e6):
        assert is_abandoned(path, time.time() + skew)
