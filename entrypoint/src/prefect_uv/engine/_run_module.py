"""Run by the environment's Python with a module or a file, and its arguments; the collector is off as Prefect loads.

Importing Prefect creates nearly 200 000 objects that stay and hardly any garbage. Scanning them again and again takes a
tenth of the time until the flow runs, and as much again in the first collections afterwards and at exit. `gc.freeze`
takes them out of all later collections; the module itself starts with the collector on, as usual (ADR 15).
https://docs.python.org/3/library/gc.html#gc.freeze

`prefect.main` exists in every Prefect from 3.0.0 to 3.8.8 and imports almost everything an engine needs:
https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/main.py
"""

import gc
import os
import runpy
import sys
from contextlib import suppress


def main() -> None:
    """Run the module or the file named on the command line."""
    del sys.argv[0]
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = os.getcwd()  # noqa: PTH109 (a string, as `python -m` sets it: https://docs.python.org/3/using/cmdline.html#cmdoption-m)
    gc.disable()
    with suppress(Exception):  # the module runs into the same error and reports it
        import prefect.main  # noqa: F401, PLC0415
    gc.freeze()
    gc.enable()
    if sys.argv[0].endswith(".py"):
        runpy.run_path(sys.argv[0], run_name="__main__")
    else:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
