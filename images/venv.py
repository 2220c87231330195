"""The tools environment `.venv`: hash-pinned, and created with Python alone."""

from __future__ import annotations

import importlib.util
import shutil
import sys

from images import apt
from images.family import ROOT
from images.process import run, say

VENV = ROOT / ".venv"


def create() -> None:
    """Create the environment from scratch: pip installs uv, uv installs everything else.

    Everything is compiled once, or else each of the processes that run the tests would compile what it imports.
    """
    if not importlib.util.find_spec("ensurepip"):
        apt.install("python3-venv", "Python's venv module needs it")
    say("creating .venv, the tools environment")
    shutil.rmtree(VENV, ignore_errors=True)
    requirements = ROOT / "requirements"
    pip, uv = str(VENV / "bin/pip"), str(VENV / "bin/uv")
    run([sys.executable, "-m", "venv", str(VENV)], timeout=120)
    run([pip, "install", "--require-hashes", "--requirement", str(requirements / "uv.txt")], timeout=600)
    target = ["--python", str(VENV / "bin/python"), "--require-hashes", "--compile-bytecode"]
    run([uv, "pip", "install", *target, "--requirement", str(requirements / "dev.txt")], timeout=900)
    (VENV / ".complete").touch()
