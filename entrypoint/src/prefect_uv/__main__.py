"""The program: runs a command of prefect-uv, or becomes another program before anything else is imported."""

from __future__ import annotations

import faulthandler
import gc
import os
import sys
from importlib import import_module

from prefect_uv import __version__
from prefect_uv.command_line import VERBS, become, choose_verb, variables_for

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
    if verb == "version":
        sys.stdout.write(f"prefect-uv {__version__}\n")
        sys.exit()
    if verb == "help":
        from prefect_uv.options.option_parser import build_parsers  # noqa: PLC0415 (not needed to start a flow run)

        sys.stdout.write(build_parsers()[0].format_help())
        sys.exit()
    if verb == "command":
        become(arguments)
    from prefect_uv.processes.signals import note_signals  # noqa: PLC0415 (not needed to become another program)

    note_signals()
    gc.set_threshold(GARBAGE_OBJECTS)
    from prefect_uv.start import start  # noqa: PLC0415 (not needed to become another program)

    module, function = VERBS[verb]
    words = [verb, *arguments] if arguments else []
    exit_code = start(getattr(import_module(module), function), variables_for(verb, os.environ), words)
    sys.stdout.flush()
    os._exit(exit_code)


if __name__ == "__main__":
    main()
