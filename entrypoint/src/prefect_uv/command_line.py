"""What the container was started with decides what it does (the table in the README)."""

from __future__ import annotations

import os
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
EXECUTE = ("prefect", "flow-run", "execute")
FLOW_RUN_ID = "PREFECT__FLOW_RUN_ID"
HELP = """\
prefect-uv runs Prefect flows from git with uv: set this image in a work pool or a deployment, and push
a pyproject.toml and a uv.lock that has prefect. Nothing was asked for, so nothing was done.

  PREFECT__FLOW_RUN_ID set          execute that flow run (what Docker and Kubernetes workers do)
  prefect-uv run                    the same
  prefect-uv sync                   pull the code and build its environment, do not start the flow
  prefect-uv exec -- COMMAND        pull, sync, then run COMMAND in the environment
  prefect-uv bake [OPTION …]        put a project's environment into the image, in a Dockerfile
  prefect-uv cache [COMMAND]        list, prune or verify what the cache volume holds
  prefect-uv doctor                 show what this container has and can reach
  any other COMMAND                 run it as it is
"""


def choose_verb(argv: Sequence[str], environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """The verb and its arguments, for a command line and an environment.

    Returns:
        one of VERBS, or `help`, or `command` with the command to become.
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


def become(command: list[str]) -> NoReturn:
    """Replace this process by a command, with the exit codes of a shell when that fails."""
    try:
        os.execvp(_elsewhere(command[0]), command)  # noqa: S606
    except FileNotFoundError:
        sys.stderr.write(f"prefect-uv: {command[0]}: command not found\n")
        sys.exit(127)
    except OSError as error:
        sys.stderr.write(f"prefect-uv: {command[0]}: {error.strerror}\n")
        sys.exit(126)


def _elsewhere(program: str) -> str:
    """Where a program is on PATH besides our own link `prefect`, which would lead here again."""
    if program != "prefect":
        return program
    own = os.path.realpath(sys.argv[0])
    places = [os.path.join(folder, program) for folder in os.get_exec_path()]  # noqa: PTH118 (PATH entries are text)
    others = [place for place in places if os.access(place, os.X_OK) and os.path.realpath(place) != own]
    if not others:
        raise FileNotFoundError
    return others[0]
