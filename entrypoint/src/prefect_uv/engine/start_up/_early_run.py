"""The early engine waits for its run and takes it on; run by the environment's Python, through `_run_module.py`."""

import json
import os
import sys


def wait_for_run(descriptor: int) -> None:
    """Wait until there is a run, and make this process what it would be if it had been started for it.

    The process ends at once if there will be none.

    Args:
        descriptor: a pipe; see `EarlyEngine.hand_over` for what comes.
    """
    with os.fdopen(descriptor) as pipe:
        text = pipe.read()
    if not text:
        os._exit(0)
    run = json.loads(text)
    os.chdir(run["directory"])
    _set_directory_at_import()
    _set_variables(run["environ"], run["early_path"])
    _set_import_path(run["place"], run["import_path"])
    early = next(number for number, word in enumerate(sys.orig_argv) if word == f"--early={descriptor}")
    sys.orig_argv[early:] = run["arguments"]
    sys.argv[:] = run["arguments"]


def _set_directory_at_import() -> None:
    """Tell the modules that keep the working directory of their import the run's.

    https://github.com/python/cpython/blob/3.13/Lib/multiprocessing/process.py
    https://github.com/Textualize/rich/blob/v14.0.0/rich/__init__.py
    """
    for module, name in (("multiprocessing.process", "ORIGINAL_DIR"), ("rich", "_IMPORT_CWD")):
        if hasattr(sys.modules.get(module), name):
            setattr(sys.modules[module], name, os.getcwd())  # noqa: PTH109 (a string)


def _set_variables(environ: dict[str, str], early_path: str) -> None:
    """Set the run's variables; `uv run` has put a directory in front of PATH, which stays.

    uv 0.13.9: https://docs.astral.sh/uv/concepts/projects/run/
    """
    added = os.environ["PATH"].removesuffix(early_path)
    os.environ.update(environ)
    if "PATH" in environ:
        os.environ["PATH"] = added + environ["PATH"]


def _set_import_path(place: str, directories: list[str]) -> None:
    """Put the run's directories where the environment's hook would have put them."""
    sys.path_importer_cache.pop(place, None)
    if place in sys.path:
        here = sys.path.index(place)
        sys.path[here : here + 1] = [path for path in dict.fromkeys(directories) if path and path not in sys.path]
