"""A flow that needs a package of a private index, and waits until it may go on."""

import time
from pathlib import Path

import trinket
from prefect import flow


@flow(log_prints=True)
def waiting(folder: str) -> None:
    """Write `ready` into a folder, and end when somebody writes `go` there."""
    Path(folder, "ready").touch()
    for _ in range(600):
        if Path(folder, "go").exists():
            print(trinket.SAYS)
            return
        time.sleep(0.1)
    raise TimeoutError(folder)
