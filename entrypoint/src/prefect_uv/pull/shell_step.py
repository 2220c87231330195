"""The step `run_shell_script`: each line of the script is a command.

Prefect 3.8.8: run_shell_script, https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/deployments/steps/utility.py
"""

from __future__ import annotations

import re
import shlex
import string
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from prefect_uv.errors import PullStepError, tool_report
from prefect_uv.log.progress import logging_progress
from prefect_uv.log.run_log import RunLog
from prefect_uv.processes.streamed_command import run_streamed
from prefect_uv.processes.subprocesses import CompletedCommand
from prefect_uv.pull.checkout import Checkout, StepContext, StepInputs
from prefect_uv.pull.pip_installs import NOTES_VARIABLE, noted_installs, with_installs
from prefect_uv.shapes import is_text

UV_PIP = re.compile(r"\buv pip (?:install|sync)\b")
UV_PIP_HINT = (
    "Write `pip install` or the step pip_install_requirements, which add packages to the run: `uv pip` needs an"
    " environment of its own (`uv venv`), which the flow would not use."
)


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
    """Run the lines one after another, and return the stdout and stderr of all of them.

    Raises:
        PullStepError: a line cannot be parsed, cannot be started, or fails.
    """
    environ = {**checkout.environ, **_checked_env(env or {})}
    cwd, log = checkout.base / (directory or "."), context.log if stream_output else None
    completed: list[CompletedCommand] = []
    places = {place.resolve() for place in (cwd, checkout.base, checkout.directory)}
    before = _virtual_environments(places)
    with noted_installs() as notes:
        for command in _commands(script, environ if expand_env_vars else None, shell=shell):
            with logging_progress(context.log, "running a line of the script"):
                completed.append(_run_line(command, cwd, {**environ, NOTES_VARIABLE: str(notes)}, log))
        checkout = with_installs(checkout, notes, context.log.mask)
    made = sorted(_virtual_environments(places) - before)
    checkout = replace(checkout, virtual_environments=(*checkout.virtual_environments, *made))
    stdout = "".join(command.stdout for command in completed).strip()
    stderr = "".join(command.stderr for command in completed).strip()
    return {"stdout": stdout, "stderr": stderr}, checkout


def _virtual_environments(places: Iterable[Path]) -> set[Path]:
    """The virtual environments directly in these directories, as `uv sync` and `uv venv` make them."""
    return {file.parent for place in places for file in place.glob("*/pyvenv.cfg")}


def _checked_env(env: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in env.items():
        if not is_text(name) or not name or "=" in name:
            message = f"run_shell_script's env has {name!r}, which cannot be the name of a variable."
            raise PullStepError(message)
        if not isinstance(value, str):
            message = f"The value of {name} in run_shell_script's env is not a string."
            raise PullStepError(message, hint="Put the value in quotes.")
    return env


def _commands(script: str, values: Mapping[str, str] | None, *, shell: bool) -> Iterator[str | list[str]]:
    """The command of each line that is not empty: a string for the shell, or a list of arguments.

    Args:
        script: the step's input.
        values: the variables to expand `$NAME` with; None leaves it as it is.
        shell: whether the lines go to the shell.
    """
    for line in script.splitlines():
        text = string.Template(line).safe_substitute(values) if values is not None else line
        try:
            command = text.strip() if shell else shlex.split(text)
        except ValueError as error:
            message = f"A line of run_shell_script's script cannot be parsed: {error}."
            raise PullStepError(message, line) from None
        if command:
            yield command


def _run_line(command: str | list[str], cwd: Path, environ: Mapping[str, str], log: RunLog | None) -> CompletedCommand:
    try:
        completed = run_streamed(command, env=environ, cwd=cwd, line=log.info if log else lambda _: None)
    except OSError as error:
        message = f"run_shell_script could not start `{error.filename}`: {error.strerror}."
        raise PullStepError(message) from None
    if completed.exit_code:
        program = completed.command.split()[0]
        message = f"run_shell_script failed: `{program}` ended with exit code {completed.exit_code}."
        hint = UV_PIP_HINT if UV_PIP.search(command if isinstance(command, str) else shlex.join(command)) else ""
        raise PullStepError(message, tool_report(completed.command, completed.exit_code, completed.stderr), hint)
    return completed
