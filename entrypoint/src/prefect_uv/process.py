"""Child processes: run to their end with their output captured, gone whenever we are interrupted."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from prefect_uv.errors import tool_report


class Terminated(BaseException):
    """SIGTERM, SIGINT or SIGHUP arrived before the engine was started."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


class Interrupted(BaseException):
    """The watch asks the main thread to leave what it is doing and look at the run's state."""


STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
LOOK_SIGNAL = signal.SIGUSR2


def raise_on_signals() -> None:
    """From now on, the first signal raises in the main thread, and later ones change nothing.

    A signal to stop raises Terminated, the watch's raises Interrupted.
    """

    def stop(signum: int, _frame: FrameType | None) -> None:
        ignore_signals()
        _raise_when_allowed(Interrupted() if signum == LOOK_SIGNAL else Terminated(signum))

    for signum in (*STOP_SIGNALS, LOOK_SIGNAL):
        signal.signal(signum, stop)


_held: list[list[BaseException]] = []


def _raise_when_allowed(reason: BaseException) -> None:
    if not _held:
        raise reason
    _held[-1].append(reason)


@contextmanager
def held() -> Iterator[None]:
    """What a signal raises within is raised at the end: a child that is being made must become known first."""
    _held.append([])
    try:
        yield
    finally:
        for reason in _held.pop():
            raise reason


def ignore_signals() -> None:
    """From now on, signals to stop change nothing: we are stopping."""
    for signum in (*STOP_SIGNALS, LOOK_SIGNAL):
        signal.signal(signum, signal.SIG_IGN)


def interrupt_main() -> None:
    """Send the watch's signal to the main thread, also out of a blocking call."""
    signal.pthread_kill(threading.main_thread().ident or 0, LOOK_SIGNAL)


@dataclass(frozen=True)
class Finished:
    """A command that ended: its text, exit code (negative: killed by that signal) and output."""

    command: str
    exit_code: int
    stdout: str
    stderr: str

    @property
    def report(self) -> str:
        """The command, its exit code and the last lines of its stderr."""
        return tool_report(self.command, self.exit_code, self.stderr)


def run(
    command: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path | None = None, timeout: float | None = None
) -> Finished:
    """Run a command in a process group of its own, without input; the whole group dies if we are interrupted.

    Raises:
        subprocess.TimeoutExpired: after `timeout` seconds; the group is killed.
        FileNotFoundError: when the program does not exist.
    """
    arguments = [str(part) for part in command]
    process = None
    try:
        with held():
            process = _start(arguments, env, cwd)
        stdout, stderr = process.communicate(timeout=timeout)
    except BaseException:
        if process is not None:
            kill_group(process.pid)
            process.communicate()
        raise
    return Finished(shlex.join(arguments), process.returncode, stdout, stderr)


def _start(arguments: list[str], env: Mapping[str, str], cwd: Path | None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        arguments,
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        process_group=0,
    )


def kill_group(group: int) -> None:
    """SIGKILL to every process of a group; one that is gone already is fine."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
