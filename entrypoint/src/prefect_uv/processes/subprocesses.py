"""Running a command to its end with its output captured, and killing it if we are interrupted."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from prefect_uv.errors import tool_report
from prefect_uv.processes.signals import LOOK_SECONDS, raise_noted_signal


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
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    timeout: float | None = None,
    stdin: IO[str] | int = subprocess.DEVNULL,
) -> CompletedCommand:
    """Run a command in its own process group, by default without input; the group is killed if we are interrupted.

    Raises:
        subprocess.TimeoutExpired: it took more than `timeout` seconds, and the group was killed.
        FileNotFoundError: the program does not exist.
    """
    arguments = [str(part) for part in command]
    with process_group(arguments, env=env, cwd=cwd, stdin=stdin) as process:
        stdout, stderr = _communicate(process, timeout)
    return CompletedCommand(shlex.join(arguments), process.returncode, stdout, stderr)


@contextmanager
def process_group(command: Sequence[str] | str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Start a command in its own process group with its output piped; the group is killed if the block fails.

    What escaped from the group may still hold the pipes, so a killed command's output is not read to its end.

    Args:
        command: the program and its arguments, or a string for `/bin/sh`.
        options: more arguments for `subprocess.Popen`.
    """
    process = subprocess.Popen(
        command,
        shell=isinstance(command, str),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        process_group=0,
        **options,
    )
    try:
        yield process
    except BaseException:
        kill_group(process.pid)
        process.wait()
        raise


def wait_for_process(process: subprocess.Popen[str]) -> None:
    """Wait for a process to end; a signal ends the wait as `raise_noted_signal` does."""
    while process.returncode is None:
        raise_noted_signal()
        with suppress(subprocess.TimeoutExpired):
            process.wait(LOOK_SECONDS)


def _communicate(process: subprocess.Popen[str], timeout: float | None) -> tuple[str, str]:
    """The output of a process that has ended, on both streams; it is closed in any case."""
    deadline = None if timeout is None else time.monotonic() + timeout
    streams = [stream for stream in (process.stdout, process.stderr) if stream]
    with streams[0], streams[1]:
        while True:
            raise_noted_signal()
            try:
                return process.communicate(timeout=LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                if deadline is not None and time.monotonic() > deadline:
                    raise


def kill_group(group: int) -> None:
    """Send SIGKILL to every process of a group, if any is left."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
