"""Child processes: run to their end with their output captured, gone whenever we are interrupted."""

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
    """A command that ended: its text, exit code (negative: killed by that signal) and output."""

    command: str
    exit_code: int
    stdout: str
    stderr: str

    @property
    def report(self) -> str:
        """The command, its exit code and the last lines of its stderr."""
        return tool_report(self.command, self.exit_code, self.stderr)


def run_command(
    command: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path | None = None, timeout: float | None = None
) -> CompletedCommand:
    """Run a command in a process group of its own, without input; the whole group dies if we are interrupted.

    Raises:
        subprocess.TimeoutExpired: after `timeout` seconds; the group is killed.
        FileNotFoundError: when the program does not exist.
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
    """SIGKILL to every process of a group; one that is gone already is fine."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
