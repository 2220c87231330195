"""Given to the environment's Python: `python -m MODULE ARGUMENT …`, without looking for garbage in Prefect itself.

Importing Prefect makes nearly 200 000 objects that stay, and hardly any garbage. To look through them again and again
takes a tenth of the time until the flow runs, and as much again at the first collections afterwards and at the end. So
they are frozen, as Python's documentation of `gc.freeze` has it (Prefect 3.8.8, CPython 3.13, ADR 0015); the module
begins with collection as usual. `prefect.main` is public in every Prefect 3 and imports all but the modules that run.
"""

import gc
import os
import runpy
import sys
from contextlib import suppress


def main() -> None:
    """Run the module that the command line names."""
    del sys.argv[0]
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = os.getcwd()  # noqa: PTH109 (as `python -m` has it: text)
    gc.disable()
    with suppress(Exception):  # the module meets the same, and reports it
        import prefect.main  # noqa: F401, PLC0415
    gc.freeze()
    gc.enable()
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
