"""Starts the Python of a build backend again, without the variables that only uv needs.

uv 0.13.8: passes its variables on to build backends, the credentials of indexes among them.
https://github.com/astral-sh/uv/blob/0.13.8/crates/uv-build-frontend/src/lib.rs (`PythonRunner`)

Python imports `sitecustomize` before anything else, in any version and with no package installed. Starting again, and
not only deleting them, keeps the variables out of /proc/self/environ.
https://docs.python.org/3/library/site.html#module-sitecustomize
"""

import os
import sys

WITHHELD = "_PREFECT_UV_WITHHELD"

if WITHHELD in os.environ:
    withheld = {WITHHELD, *os.environ[WITHHELD].split("=")}
    kept = {name: value for name, value in os.environ.items() if name not in withheld}
    users_path = kept.pop("PYTHONPATH", "").partition(os.pathsep)[2]
    if users_path:
        kept["PYTHONPATH"] = users_path
    if hasattr(sys, "orig_argv"):  # Python 3.10
        os.execve(sys.executable, sys.orig_argv, kept)  # noqa: S606 (the same command)
    os.environ.clear()
    os.environ.update(kept)
