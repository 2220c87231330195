"""Commands of the builder: quiet until they fail."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

TAIL = 40


class ToolError(Exception):
    """A command failed; the message carries the end of its output.

    Attributes:
        output: all of its output.
    """

    def __init__(self, message: str, output: str = "") -> None:
        """Keep the output beside the message."""
        super().__init__(message)
        self.output = output


def say(message: str) -> None:
    """Tell the user what is being done."""
    print(f"images: {message}", file=sys.stderr, flush=True)


def run(command: Sequence[str], *, timeout: float, environ: Mapping[str, str] | None = None) -> str:
    """Run a command and return its output; raise with the output's end when it fails."""
    try:
        done = subprocess.run(
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
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-TAIL:])
        message = f"`{' '.join(command)}` failed with exit code {done.returncode}:\n{tail}"
        raise ToolError(message, done.stdout)
    return done.stdout
