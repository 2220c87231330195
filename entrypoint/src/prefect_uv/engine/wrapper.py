"""The engine's wrapper (PREFECT_UV_ENGINE_WRAPPER): a tracer, a profiler or a debugger that starts the engine."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import PathFinder
from pathlib import Path

from prefect_uv.errors import WrapperMissingError
from prefect_uv.settings.tool_variables import IMPORT_PATH

WRAPPER = "PREFECT_UV_ENGINE_WRAPPER"
PYTHON = re.compile(r"python[\d.]*")
PACKAGES = {
    "kernprof": "line_profiler",
    "newrelic-admin": "newrelic",
    "opentelemetry-instrument": "opentelemetry-distro",
}
"""The packages of programs and modules that have another name."""


def wrapped(
    launcher: Sequence[str], wrapper: Sequence[str], environment: Path, environ: Mapping[str, str]
) -> list[str]:
    """The command that starts the environment's Python below the wrapper; the script to run is still to be added.

    A wrapper that begins with `python` takes the place of the interpreter and gets the script (`python -m debugpy
    --listen 5678`). Any other wrapper gets the interpreter and the script.

    Args:
        launcher: the command that starts the environment's Python, which ends with its name.
        wrapper: the program and its arguments.
        environment: the environment's directory.
        environ: the engine's environment variables.

    Raises:
        WrapperMissingError: neither the environment nor the image has the program or the module.
    """
    program, *arguments = wrapper
    if PYTHON.fullmatch(program):
        if arguments[:1] == ["-m"] and arguments[1:] and not _has_module(arguments[1], environment, environ):
            raise _missing_error(wrapper, f"the module {arguments[1]}", arguments[1].partition(".")[0])
        return [*launcher, *arguments]
    path = shutil.which(program, path=environ["PATH"])
    if path is None:
        raise _missing_error(wrapper, f"the program {program}", Path(program).name.removesuffix("-run"))
    return [*launcher[:-1], path, *arguments, str(environment / "bin" / "python")]


def _has_module(name: str, environment: Path, environ: Mapping[str, str]) -> bool:
    """Whether the environment's Python could import the module, as far as files tell."""
    top = name.partition(".")[0]
    packages = map(str, environment.glob("lib/python*/site-packages"))
    own = (path for name in ("PYTHONPATH", IMPORT_PATH) for path in environ.get(name, "").split(os.pathsep))
    places = [*packages, *filter(None, own)]
    return top in sys.stdlib_module_names or PathFinder.find_spec(top, places) is not None


def _missing_error(wrapper: Sequence[str], missing: str, name: str) -> WrapperMissingError:
    package = PACKAGES.get(name, name)
    return WrapperMissingError(
        f"The engine's wrapper cannot be started: {missing} is missing.",
        f"{WRAPPER}={' '.join(wrapper)} starts the engine, but neither the environment nor the image has {missing}.",
        f"Add its package to the project (`uv add {package}`) or to the deployment (PREFECT_UV_EXTRA_PACKAGES:"
        f" {package}), or correct {WRAPPER}.",
    )
