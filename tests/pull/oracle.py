"""Perform pull steps by Prefect's own functions: `python -m tests.pull.oracle`, one JSON request a line.

A request is `{"steps": …, "directory": …, "environ": …}`; the answer has the outputs and the working directory, or the
error with its causes.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any


def perform(steps: list[Any], directory: str, environ: dict[str, str]) -> dict[str, Any]:
    """Run the steps as the engine does, in this directory and with these additional variables."""
    from prefect.deployments.steps.core import run_steps  # noqa: PLC0415 (after the environment is set)

    before = dict(os.environ)
    os.chdir(directory)
    os.environ |= environ
    try:
        outputs = asyncio.run(run_steps(steps, print_function=lambda *_, **__: None))
        if outputs.get("directory"):
            os.chdir(outputs["directory"])
        return {"outputs": outputs, "directory": str(Path.cwd())}
    except Exception as error:  # noqa: BLE001 (errors are what is compared)
        return {"error": "".join(traceback.format_exception(error))}
    finally:
        os.environ.clear()
        os.environ |= before
        os.chdir("/")


def _without_pauses() -> None:
    """Skip the pauses of seconds between the three attempts that Prefect makes at a failing clone."""
    from prefect._internal import retries  # noqa: PLC0415 (after the environment is set)

    async def no_pause(_seconds: float) -> None:
        """Return immediately."""

    setattr(retries, "asyncio", SimpleNamespace(sleep=no_pause))  # noqa: B010 (a name that Prefect does not export)


def main() -> None:
    """Answer requests until stdin ends."""
    _without_pauses()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        answers.write(json.dumps(perform(**json.loads(line)), default=str) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
