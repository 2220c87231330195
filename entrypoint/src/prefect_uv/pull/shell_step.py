"""The step `run_shell_script`: the lines of a script, each a command.

As in Prefect 3.8.8 (`prefect/deployments/steps/utility.py`).
"""

from __future__ import annotations

import shlex
import string
from collections.abc import Iterator, Mapping
from pathlib import Path

from prefect_uv.errors import PullStepError, tool_report
from prefect_uv.log.progress import logging_progress
from prefect_uv.log.run_log import RunLog
from prefect_uv.processes.streamed_command import run_streamed
from prefect_uv.processes.subprocesses import CompletedCommand
from prefect_uv.pull.checkout import Checkout, StepContext, StepInputs


def run_shell_script(  # noqa: PLR0913 (the parameters of Prefect's step)
    context: StepContext,
    checkout: Checkout,
    *,
    script: str,
    directory: str | None = None,
    env: Mapping[str, str] | None = None,
    stream_output: bool = True,
    expand_env_vars: bool = False,
    shell: bool = False,
) -> tuple[StepInputs, Checkout]:
    """Run every line in turn and give back all their output.

    Raises:
        PullStepError: a line is no command, cannot be started, or fails.
    """
    merged = {**checkout.environ, **_checked_env(env or {})}
    done: list[CompletedCommand] = []
    for command in _commands(script, merged if expand_env_vars else None, shell=shell):
        with logging_progress(context.log, "running a line of the script"):
            done.append(
                _perform(command, checkout.base / (directory or "."), merged, context.log if stream_output else None)
            )
    stdout, stderr = ("".join(parts).strip() for parts in ([one.stdout for one in done], [one.stderr for one in done]))
    return {"stdout": stdout, "stderr": stderr}, checkout


def _checked_env(env: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in env.items():
        if not isinstance(value, str):
            message = f"run_shell_script's env has {name}, whose value is not a text."
            raise PullStepError(message, hint="Put it in quotes.")
    return env


def _commands(script: str, values: Mapping[str, str] | None, *, shell: bool) -> Iterator[str | list[str]]:
    for line in script.splitlines():
        text = string.Template(line).safe_substitute(values) if values is not None else line
        try:
            command = text.strip() if shell else shlex.split(text)
        except ValueError as error:
            message = f"A line of run_shell_script's script is no command: {error}."
            raise PullStepError(message, line) from None
        if command:
            yield command


def _perform(command: str | list[str], cwd: Path, environ: Mapping[str, str], log: RunLog | None) -> CompletedCommand:
    try:
        finished = run_streamed(command, env=environ, cwd=cwd, line=log.info if log else lambda _: None)
    except OSError as error:
        message = f"A line of run_shell_script's script cannot be started: {error.strerror}."
        raise PullStepError(message, f"{error.filename}") from None
    if finished.exit_code:
        message = f"run_shell_script failed with exit code {finished.exit_code}."
        raise PullStepError(message, tool_report(finished.command, finished.exit_code, finished.stderr))
    return finished
