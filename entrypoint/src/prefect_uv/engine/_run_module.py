"""Run by the environment's Python with a module or a file, and its arguments; the collector is off as Prefect loads.

Importing Prefect creates nearly 200 000 objects that stay and hardly any garbage. Scanning them again and again takes a
tenth of the time until the flow runs, and as much again in the first collections afterwards and at exit. `gc.freeze`
takes them out of all later collections; the module itself starts with the collector on, as usual (ADR 15).
https://docs.python.org/3/library/gc.html#gc.freeze

`prefect.main` exists in every Prefect from 3.0.0 to 3.8.8 and imports almost everything an engine needs:
https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/main.py

Two options may come first: `--imports=FILE`, an import bundle (ADR 36), and, in place of the module and its arguments,
`--early=DESCRIPTOR`, a pipe on which they will come (ADR 37).
"""

import gc
import os
import runpy
import sys
from contextlib import suppress
from importlib.machinery import SourceFileLoader
from types import ModuleType

BUNDLE_OPTION = "--imports="
EARLY_OPTION = "--early="


def main() -> None:
    """Run the module or the file named on the command line."""
    del sys.argv[0]
    has_own_directory = not getattr(sys.flags, "safe_path", False)
    bundle = early = None
    if sys.argv[0].startswith(BUNDLE_OPTION):
        bundle = _start_up("_bundled_imports").use_import_bundle(sys.argv.pop(0).removeprefix(BUNDLE_OPTION))
    if sys.argv[0].startswith(EARLY_OPTION):
        early = int(sys.argv[0].removeprefix(EARLY_OPTION))
    if has_own_directory:
        sys.path[:1] = [] if early is not None else [os.getcwd()]  # noqa: PTH109 (a string, as `python -m` sets it: https://docs.python.org/3/using/cmdline.html#cmdoption-m)
    gc.disable()
    with suppress(Exception):  # the module runs into the same error and reports it
        import prefect.main  # noqa: F401, PLC0415
    if bundle:
        bundle.keep_rest()
    gc.freeze()
    gc.enable()
    if early is not None:
        _start_up("_early_run").wait_for_run(early)
        if has_own_directory:
            sys.path.insert(0, os.getcwd())  # noqa: PTH109
    if sys.argv[0].endswith(".py"):
        runpy.run_path(sys.argv[0], run_name="__main__")
    else:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _start_up(name: str) -> ModuleType:
    """A module of the directory `start_up`, which is not left in `sys.modules`."""
    module = ModuleType(name)
    path = os.path.join(os.path.dirname(__file__), "start_up", f"{name}.py")  # noqa: PTH118, PTH120 (pathlib takes long to import)
    SourceFileLoader(name, path).exec_module(module)
    return module


if __name__ == "__main__":
    main()
