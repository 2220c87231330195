"""Running a command whose output is passed on line by line."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from prefect_uv.processes.signals import join_thread
from prefect_uv.processes.subprocesses import CompletedCommand, process_group, wait_for_process

LineHandler = Callable[[str], None]


def run_streamed(
    command: Sequence[str] | str,
    *,
    env: Mapping[str, str],
    cwd: Path | None,
    line: LineHandler,
    feed: str | None = None,
) -> CompletedCommand:
    """Run a command in its own process group, and pass each line of its output to `line`.

    Args:
        command: the program and its arguments, or a string for `/bin/sh`.
        env: its environment.
        cwd: its working directory; None for ours.
        line: called with each line of stdout and stderr that is not blank, from two threads.
        feed: its input; None for no input.

    Raises:
        OSError: the command cannot be started.
    """
    stdin = subprocess.DEVNULL if feed is None else subprocess.PIPE
    with process_group(command, env=env, cwd=cwd, stdin=stdin) as process:
        readers = [OutputReader(stream, line) for stream in (process.stdout, process.stderr) if stream]
        if process.stdin:
            threading.Thread(target=_feed, args=(process.stdin, feed), daemon=True, name="input").start()
        stdout, stderr = (reader.text() for reader in readers)
        wait_for_process(process)
    return CompletedCommand(command if isinstance(command, str) else command[0], process.returncode, stdout, stderr)


def _feed(stream: IO[str], text: str) -> None:
    """Write all of a command's input, in a thread of its own: the command may not read it, or end first."""
    with suppress(BrokenPipeError), stream:
        stream.write(text)


class OutputReader:
    """A thread that reads a stream to its end."""

    def __init__(self, stream: IO[str], line: LineHandler) -> None:
        self._parts: list[str] = []
        self._thread = threading.Thread(target=self._read, args=(stream, line), daemon=True, name="output")
        self._thread.start()

    def text(self) -> str:
        """Wait for the end of the stream, and return all of its text."""
        join_thread(self._thread)
        return "".join(self._parts)

    def _read(self, stream: IO[str], line: LineHandler) -> None:
        with stream:
            for text in stream:
                self._parts.append(text)
                if text.strip():
                    line(text.rstrip())
