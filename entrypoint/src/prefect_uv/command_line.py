"""The command line: which command of prefect-uv to run, or which other program to become.

Prefect 3.8.8, what workers run in the container: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/workers/base.py
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

VERBS = {
    "run": ("prefect_uv.recipe", "run"),
    "sync": ("prefect_uv.recipe", "sync"),
    "exec": ("prefect_uv.recipe", "execute"),
    "bake": ("prefect_uv.bake.image_layer", "bake"),
    "doctor": ("prefect_uv.commands.doctor", "doctor"),
    "cache": ("prefect_uv.commands.cache", "cache"),
}
FLOW_VERBS = {"run", "sync", "exec"}
EXECUTE = ("prefect", "flow-run", "execute")
FLOW_RUN_ID = "PREFECT__FLOW_RUN_ID"
HELP = """\
prefect-uv runs Prefect flows from git with uv. Use this image in a work pool or a deployment, and push
a pyproject.toml and a uv.lock that contains prefect. With no command and no flow run, it prints this help.

  PREFECT__FLOW_RUN_ID is set       execute that flow run (this is how Docker and Kubernetes workers start it)
  prefect-uv run                    the same
  prefect-uv sync                   pull the code and build its environment, but do not start the flow
  prefect-uv exec -- COMMAND        pull the code, build its environment, and run COMMAND in it
  prefect-uv bake [OPTION …]        build a project's environment into the image (in a Dockerfile)
  prefect-uv cache [COMMAND]        list, prune or verify the environments on the cache volume
  prefect-uv doctor                 show what this container has and can reach
  any other COMMAND                 run it unchanged
"""


def choose_verb(argv: Sequence[str], environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """Choose the verb, which is what prefect-uv calls its own commands.

    Returns:
        one of VERBS and its arguments, or `help`, or `command` and the other program to become.
    """
    words = list(argv[1:])
    if Path(argv[0]).name == "prefect":
        words = ["prefect", *words]
    if words[:1] == ["prefect-uv"]:
        words = words[1:] or ["help"]
    if not words:
        return ("run" if environ.get(FLOW_RUN_ID) else "help"), []
    if tuple(words[:3]) == EXECUTE:
        return "run", words[3:]
    if words[0] in VERBS:
        return words[0], words[1:]
    if words[0] in {"help", "--help", "-h"}:
        return "help", []
    return "command", words


def variables_for(verb: str, arguments: Sequence[str], environ: Mapping[str, str]) -> Mapping[str, str]:
    """The environment of a verb: `run ID` names the flow run, and what is not about a flow must not touch its state."""
    if verb == "run" and arguments:
        return {**environ, FLOW_RUN_ID: arguments[0]}
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
        sys.stderr.write(f"prefect-uv: {command[0]}: command not found\n")
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
