"""Given to the environment's Python: `python -m MODULE ARGUMENT …`, and no garbage is looked for during the imports.

Importing Prefect makes a great many objects and hardly any garbage; looking for it again and again takes the tenth part
of the time (Prefect 3.8.8, CPython 3.13; `gc.disable` in Python's documentation). When the module begins, all is as
usual. `prefect.main` is public in every Prefect 3 and imports all but the modules that are run.
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
    with suppress(ImportError):
        import prefect.main  # noqa: F401, PLC0415
    gc.enable()
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
