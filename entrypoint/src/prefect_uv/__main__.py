"""The program: runs a command of prefect-uv, or becomes another program before anything else is imported."""

from __future__ import annotations

import faulthandler
import gc
import os
import sys
from importlib import import_module

from prefect_uv.command_line import HELP, VERBS, become, choose_verb, variables_for

# A start allocates far fewer objects, so the garbage collector never runs; by default it would run dozens of times.
# CPython 3.13: https://docs.python.org/3/library/gc.html#gc.set_threshold
GARBAGE_OBJECTS = 100_000


def main() -> None:
    """Run what the command line and the environment ask for, and exit.

    The interpreter is not finalized: that takes longer, and stops the threads that still run in the middle of their
    work, such as an import that others then wait for.
    CPython 3.13: https://docs.python.org/3/c-api/init.html#c.Py_FinalizeEx
    """
    faulthandler.enable()
    verb, arguments = choose_verb(sys.argv, os.environ)
    if verb == "help":
        sys.stdout.write(HELP)
        sys.exit()
    if verb == "command":
        become(arguments)
    from prefect_uv.processes.signals import note_signals  # noqa: PLC0415 (not needed to become another program)

    note_signals()
    gc.set_threshold(GARBAGE_OBJECTS)
    from prefect_uv.session import start  # noqa: PLC0415 (not needed to become another program)

    module, function = VERBS[verb]
    environ = variables_for(verb, arguments, os.environ)
    exit_code = start(getattr(import_module(module), function), environ, arguments)
    sys.stdout.flush()
    os._exit(exit_code)


if __name__ == "__main__":
    main()
