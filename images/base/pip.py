# ruff: noqa: INP001 (a module of the image's Python, not of a package)
"""`python -m pip` of the image's Python, which has no pip: the `pip` of prefect-uv answers."""

import os
import sys

if __name__ == "__main__":
    os.execv("/usr/local/bin/pip", ["pip", *sys.argv[1:]])  # noqa: S606
