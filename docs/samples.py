"""Run the program to get the output that the documentation quotes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from images.family import ROOT

CHECKOUT = "/opt/prefect/etl-main"
PROJECT = '[project]\nname = "etl"\nversion = "0.1.0"\ndependencies = ["prefect"]\n'
SECONDS = 30


def lockfile_missing() -> str:
    """The error of a project that was pushed without its lockfile, as a block of Markdown."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "pyproject.toml").write_text(PROJECT)
        done = subprocess.run(
            [sys.executable, "-m", "prefect_uv", "sync"],
            check=False,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": folder, "PYTHONPATH": str(ROOT / "entrypoint" / "src")},
        )
    lines = (line.removeprefix("prefect-uv:").strip() for line in done.stderr.splitlines())
    text = "\n".join(lines).replace(str(Path(folder).resolve()), CHECKOUT)
    if not text.startswith("error[lockfile-missing]"):
        message = f"This is not the error that the README quotes:\n{done.stderr}"
        raise SystemExit(message)
    return f"```text\n{text}\n```"
