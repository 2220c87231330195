# ruff: noqa: INP001 (a module of the image's Python, not of a package)
"""`python -m prefect.engine` of the image's Python, which has no Prefect: prefect-uv starts the flow's own.

It is installed as the package `prefect`, and for anything else it is as if there were none.
"""

import os
import sys

ENGINES = ("prefect.engine", "prefect.flow_engine")

# While Python looks for the module of `-m`, this stands in place of its path:
# https://docs.python.org/3/library/sys.html#sys.argv
if sys.argv[0] == "-m" and "-m" in sys.orig_argv:
    module, *arguments = sys.orig_argv[sys.orig_argv.index("-m") + 1 :]
    if module in ENGINES:
        flow_run = arguments[:1] if module == ENGINES[0] else []
        os.execv("/usr/local/bin/prefect-uv", ["prefect-uv", "run", *flow_run])  # noqa: S606
raise ModuleNotFoundError("No module named 'prefect'", name="prefect")
