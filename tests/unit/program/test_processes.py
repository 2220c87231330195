"""Commands are run to their end, and killed if we are interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from prefect_uv.processes.signals import STOP_SIGNALS, Terminated, note_signals, raise_noted_signal
from prefect_uv.processes.streamed_command import run_streamed
from prefect_uv.processes.subprocesses import CompletedCommand, run_command


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Poll until the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not hold in time"
        time.sleep(0.01)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def _shell(script: str, timeout: float | None = None, cwd: Path | None = None) -> CompletedCommand:
    return run_command(["sh", "-c", script], env=os.environ, timeout=timeout, cwd=cwd)


def test_output_and_exit_code_are_captured(tmp_path: Path) -> None:
    """The result has both streams, the exit code, and the command as one would type it."""
    done = _shell("pwd; echo err >&2; exit 3", cwd=tmp_path)
    assert (done.exit_code, done.stdout, done.stderr) == (3, f"{tmp_path}\n", "err\n")
    assert done.command == "sh -c 'pwd; echo err >&2; exit 3'"
    assert done.report == "`sh -c 'pwd; echo err >&2; exit 3'` exited with code 3:\n    err"


def test_input_is_empty() -> None:
    """A command that reads its input gets none, instead of waiting."""
    assert _shell("cat; echo end", timeout=5).stdout == "end\n"


def test_output_that_is_not_utf8() -> None:
    """Output that is not UTF-8 is read anyway."""
    assert _shell(r"printf '\377x'").stdout.endswith("x")


def test_killed_command_has_a_negative_code() -> None:
    """The exit code of a killed command is the negative signal number, as in subprocess."""
    assert _shell("kill -KILL $$").exit_code == -signal.SIGKILL


def test_missing_program_raises() -> None:
    """A program that does not exist raises FileNotFoundError."""
    with pytest.raises(FileNotFoundError):
        run_command(["no-such-program"], env=os.environ)


def test_timeout_kills_the_group(tmp_path: Path) -> None:
    """After the timeout, the command and everything it started are killed."""
    pids = tmp_path / "pids"
    with pytest.raises(subprocess.TimeoutExpired):
        _shell(f"sleep 60 & echo $! $$ > {pids}; wait", timeout=0.3)
    wait_until(lambda: not any(_alive(int(pid)) for pid in pids.read_text().split()))


@pytest.mark.timeout(30)
@pytest.mark.parametrize("signum", STOP_SIGNALS)
def test_signal_kills_the_group(tmp_path: Path, signum: signal.Signals) -> None:
    """On a signal to stop, grandchildren are killed too, and Terminated has the signal."""
    pids = tmp_path / "pids"
    note_signals()

    def interrupt() -> None:
        wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
        os.kill(os.getpid(), signum)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(Terminated) as caught:
        _shell(f"trap '' TERM; (trap '' TERM; sleep 60) & echo $! $$ > {pids}; wait; sleep 60")
    assert caught.value.signum == signum
    assert str(caught.value) == signum.name
    wait_until(lambda: not any(_alive(int(pid)) for pid in pids.read_text().split()))


@pytest.mark.timeout(30)
def test_signal_ends_a_streamed_command(tmp_path: Path) -> None:
    """Neither input that nobody reads nor an escaped process that holds the output keeps us waiting."""
    orphan = tmp_path / "orphan"
    note_signals()

    def interrupt() -> None:
        wait_until(lambda: orphan.exists() and bool(orphan.read_text()))
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=interrupt, daemon=True).start()
    script = f"setsid sh -c 'echo $$ > {orphan}; exec sleep 60' & wait"
    with pytest.raises(Terminated):
        run_streamed(script, env=os.environ, cwd=tmp_path, line=lambda _: None, feed="x" * 1_000_000)
    os.kill(int(orphan.read_text()), signal.SIGKILL)


def test_signal_does_not_interrupt_an_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal waits for the end of an import, which would leave a lock behind if it were interrupted."""
    (tmp_path / "signalling.py").write_text("import os; os.kill(os.getpid(), 15); complete = True")
    monkeypatch.syspath_prepend(tmp_path)
    note_signals()
    assert import_module("signalling").complete
    with pytest.raises(Terminated):
        raise_noted_signal()


def test_signal_is_not_lost_in_a_finalizer() -> None:
    """Python drops an exception that a finalizer raises, so a signal that arrives there must not raise one."""

    class Finalized:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    note_signals()
    Finalized()
    with pytest.raises(Terminated):
        raise_noted_signal()


def test_signal_is_raised_in_the_main_thread() -> None:
    """A command that another thread runs is not disturbed by a signal, and does not take it from the main thread."""
    note_signals()
    os.kill(os.getpid(), signal.SIGTERM)
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(_shell("exit 3").exit_code))
    thread.start()
    thread.join()
    assert codes == [3]
    with pytest.raises(Terminated):
        raise_noted_signal()
