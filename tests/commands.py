"""Commands of a page, run as its reader would run them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.stack.environment import index_environment
from tests.stack.git import IDENTITY
from tests.stack.process import tool

SECONDS = 600


def shell(script: str, folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """Run commands in a folder, with uv and prefect of the tools environment and this machine's package index.

    Returns:
        what they printed, errors included.

    Raises:
        AssertionError: if one of them fails, with the same.
    """
    path = f"{Path(tool('uv')).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        check=False,
        cwd=folder,
        env={**os.environ, **IDENTITY, **index_environment(), "PATH": path, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def replaced(text: str, words: Mapping[str, str]) -> str:
    """A text with other words."""
    for old, new in words.items():
        text = text.replace(old, new)
    return text
