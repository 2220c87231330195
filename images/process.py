"""Run commands, quietly until one fails."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

TAIL_LINES = 40


class ToolError(Exception):
    """A command failed, or a tool is missing.

    Attributes:
        output: everything that the command printed; the message has only the end of it.
    """

    def __init__(self, message: str, output: str = "") -> None:
        """Store the output next to the message."""
        super().__init__(message)
        self.output = output


def say(message: str) -> None:
    """Print progress to stderr."""
    print(f"images: {message}", file=sys.stderr, flush=True)


def run(command: Sequence[str], *, timeout: float, environ: Mapping[str, str] | None = None) -> str:
    """Run a command and return its output, stderr included.

    Raises:
        ToolError: the command failed or did not end in time.
    """
    try:
        completed = subprocess.run(
            command,
            check=False,
            env={**os.environ, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired as error:
        message = f"`{' '.join(command)}` did not end within {timeout:.0f} s"
        raise ToolError(message) from error
    if completed.returncode:
        tail = "\n".join(completed.stdout.splitlines()[-TAIL_LINES:])
        message = f"`{' '.join(command)}` failed with exit code {completed.returncode}:\n{tail}"
        raise ToolError(message, completed.stdout)
    return completed.stdout
