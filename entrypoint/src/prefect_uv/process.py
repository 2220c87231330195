"""Child processes: run to their end with their output captured, gone whenever we are interrupted."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from prefect_uv.errors import tool_report


class Terminated(BaseException):
    """SIGTERM, SIGINT or SIGHUP arrived before the engine was started."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def raise_on_signals() -> None:
    """From now on, the first signal to stop raises Terminated in the main thread; later ones change nothing."""

    def stop(signum: int, _frame: FrameType | None) -> None:
        for other in STOP_SIGNALS:
            signal.signal(other, signal.SIG_IGN)
        raise Terminated(signum)

    for signum in STOP_SIGNALS:
        signal.signal(signum, stop)


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
    with subprocess.Popen(
        arguments,
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        process_group=0,
    ) as process:
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except BaseException:
            kill_group(process.pid)
            raise
    return Finished(shlex.join(arguments), process.returncode, stdout, stderr)


def kill_group(group: int) -> None:
    """SIGKILL to every process of a group; one that is gone already is fine."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
