"""Bytecode that depends on the sources alone: not on their times, on where they are, or on what compiled them before.

CPython 3.13: https://docs.python.org/3/library/compileall.html
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from prefect_uv.environments.build.verification import site_packages
from prefect_uv.errors import SyncError
from prefect_uv.processes.signals import raise_noted_signal
from prefect_uv.processes.subprocesses import run_command

KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")
# Compileall ends with 1 if a file is no Python that this version can compile, as templates in packages are not.
COMPILED_CODES = {0, 1}


def compile_anew(environment: Path, shown_as: Path, environ: Mapping[str, str]) -> None:
    """Replace all bytecode of an environment by that of its own Python, without a check of the source's time.

    Args:
        environment: its directory; nobody else uses it.
        shown_as: the directory that the bytecode names as that of its sources.
        environ: the variables that PATH is taken from.

    Raises:
        SyncError: Python could not compile.
    """
    site = site_packages(environment)
    for directory, names, _ in os.walk(site):
        raise_noted_signal()
        if "__pycache__" in names:
            names.remove("__pycache__")
            shutil.rmtree(Path(directory, "__pycache__"))
    python = environment / "bin" / "python"
    options: tuple[str | Path, ...] = (
        "-qq",
        "-j",
        "0",
        "--invalidation-mode",
        "unchecked-hash",
        "-s",
        environment,
        "-p",
        shown_as,
    )
    variables = {name: environ[name] for name in KEPT_VARIABLES if name in environ}
    command = [python, "-S", "-m", "compileall", *options, site]
    done = run_command(command, env={**variables, "PYTHONHASHSEED": "0"}, cwd=environment)
    if done.exit_code not in COMPILED_CODES or done.stderr:
        raise SyncError("The bytecode of the environment could not be compiled.", done.report)
