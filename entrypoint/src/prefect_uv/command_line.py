"""The command line: which command of prefect-uv to run, or which other program to become.

Prefect 3.8.8, what workers run in the container: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/workers/base.py
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

VERBS = {
    "run": ("prefect_uv.recipe", "run"),
    "sync": ("prefect_uv.recipe", "sync"),
    "exec": ("prefect_uv.recipe", "execute"),
    "bundle": ("prefect_uv.bundles.bundle_run", "run_bundle"),
    "bake": ("prefect_uv.bake.image_layer", "bake"),
    "export": ("prefect_uv.commands.export_command", "export"),
    "import": ("prefect_uv.commands.import_command", "import_environment"),
    "key": ("prefect_uv.commands.environment_key", "show_key"),
    "warm": ("prefect_uv.deployments.warm_command", "warm"),
    "cache": ("prefect_uv.commands.cache", "cache"),
    "doctor": ("prefect_uv.forecast.forecast_command", "examine"),
    "template": ("prefect_uv.templates.template_command", "template"),
}
OPTIONS = {"help": "help", "--help": "help", "-h": "help", "--version": "version", "-V": "version"}
FLOW_VERBS = {"run", "sync", "exec", "bundle"}
EXECUTE = ("prefect", "flow-run", "execute")
FLOW_RUN_ID = "PREFECT__FLOW_RUN_ID"
# Prefect's engine as a command, `[uv run] [python] -m MODULE`, with options that have no value. Only the flow's own
# environment has Prefect, so `run` has to start it.
_PYTHON = r"(?:\S*/)?python[\d.]* (?:-\S+ )*"
# A shell that would only wait and keep signals from us: dash 0.5.12 stays even for a single command.
SHELLS = {"bash", "dash", "sh"}
SINGLE_COMMAND = r"(?:exec )?([\w./ -]+)"
ENGINE = rf"(?:uv run (?:-\S+ )*(?:{_PYTHON})?|{_PYTHON})-m prefect\.(?:engine(?: (\S+))?|flow_engine.*)"

# Prefect 3.9.1: convert_step_to_command, https://github.com/PrefectHQ/prefect/blob/3.9.1/src/prefect/bundles/__init__.py
BUNDLE = r"uv run (?:--quiet )?(?:--with .+ )?--python \S+ -m \S+\.bundles\.execute .*--key \S+"


def choose_verb(argv: Sequence[str], environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """Choose the verb, which is what prefect-uv calls its own commands.

    Returns:
        one of VERBS and its arguments, or `help`, or `version`, or `command` and the other program to become.
    """
    words = list(argv[1:])
    if Path(argv[0]).name == "prefect":
        words = ["prefect", *words]
    if words[:1] == ["prefect-uv"]:
        words = words[1:] or ["help"]
    if not words:
        return ("run" if environ.get(FLOW_RUN_ID) else "help"), []
    for command in (words, _in_shell(words)):
        if tuple(command[:3]) == EXECUTE:
            return "run", command[3:]
        if "-m" in command and (engine := re.fullmatch(ENGINE, " ".join(command))):
            given = [engine[1]] if engine[1] else []
            return ("run", given) if given or environ.get(FLOW_RUN_ID) else ("command", words)
    if environ.get(FLOW_RUN_ID) and re.fullmatch(BUNDLE, " ".join(words)):
        return "bundle", words
    if words[0] in VERBS:
        return words[0], words[1:]
    return (OPTIONS[words[0]], []) if words[0] in OPTIONS else ("command", words)


def _in_shell(words: list[str]) -> list[str]:
    """The command of `sh -c 'COMMAND'`, if it is a single one without anything that the shell would change."""
    shell = len(words) == 3 and Path(words[0]).name in SHELLS and words[1] == "-c"  # noqa: PLR2004
    single = re.fullmatch(SINGLE_COMMAND, words[2]) if shell else None
    return single[1].split() if single else []


def variables_for(verb: str, environ: Mapping[str, str]) -> Mapping[str, str]:
    """The environment of a verb: without the flow run for those that are not about a flow, which must not touch it."""
    return environ if verb in FLOW_VERBS else {name: value for name, value in environ.items() if name != FLOW_RUN_ID}


def become(command: list[str]) -> NoReturn:
    """Replace this process with a command, which gets the signals that `env` blocks for us (see Dockerfile.base).

    If that fails, exit as a shell does:
    https://www.gnu.org/software/bash/manual/html_node/Exit-Status.html
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.execvp(_resolve_program(command[0]), command)  # noqa: S606
    except FileNotFoundError:
        sys.stderr.write(f"prefect-uv: {command[0]}: command not found (see `prefect-uv --help`)\n")
        if tuple(command[-3:]) == EXECUTE:
            import shlex  # noqa: PLC0415 (rarely needed)

            sys.stderr.write(f"hint: Set PREFECT_UV_ENGINE_WRAPPER={shlex.join(command[:-3])!r} without a command.\n")
        sys.exit(127)
    except OSError as error:
        sys.stderr.write(f"prefect-uv: {command[0]}: {error.strerror}\n")
        sys.exit(126)


def _resolve_program(program: str) -> str:
    """The program itself, except for `prefect`: the first on PATH that is not our own link, which would loop.

    Raises:
        FileNotFoundError: there is no other `prefect`.
    """
    if program != "prefect":
        return program
    own = os.path.realpath(sys.argv[0])
    paths = [os.path.join(folder, program) for folder in os.get_exec_path()]  # noqa: PTH118 (PATH entries are text)
    others = [path for path in paths if os.access(path, os.X_OK) and os.path.realpath(path) != own]
    if not others:
        raise FileNotFoundError
    return others[0]
