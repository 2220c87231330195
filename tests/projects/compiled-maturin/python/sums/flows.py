"""A flow that runs the program."""

import subprocess

from prefect import flow


@flow
def hello():
    """Return what it prints."""
    return subprocess.run(["add-numbers"], check=True, capture_output=True, text=True).stdout
