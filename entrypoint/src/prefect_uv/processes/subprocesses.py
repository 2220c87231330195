"""Running a command to its end with its output captured, and killing it if we are interrupted."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.errors import tool_report
from prefect_uv.processes.signals import deferred_signals


@dataclass(frozen=True)
class CompletedCommand:
    """A command that has ended; a negative exit code is the signal that killed it."""

    command: str
    exit_code: int
    stdout: str
    stderr: str

    @property
    def report(self) -> str:
        """Describe the failure: the command, its exit code and the last lines of its stderr."""
        return tool_report(self.command, self.exit_code, self.stderr)


def run_command(
    command: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path | None = None, timeout: float | None = None
) -> CompletedCommand:
    """Run a command in its own process group, without input; the group is killed if we are interrupted.

    Raises:
        subprocess.TimeoutExpired: it took more than `timeout` seconds, and the group was killed.
        FileNotFoundError: the program does not exist.
    """
    arguments = [str(part) for part in command]
    process = None
    try:
        with deferred_signals():
            process = _start_process(arguments, env, cwd)
        stdout, stderr = process.communicate(timeout=timeout)
    except BaseException:
        if process is not None:
            kill_group(process.pid)
            process.communicate()
        raise
    return CompletedCommand(shlex.join(arguments), process.returncode, stdout, stderr)


def _start_process(arguments: list[str], env: Mapping[str, str], cwd: Path | None) -> subprocess.Popen[str]:
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
    """Send SIGKILL to every process of a group, if any is left."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
