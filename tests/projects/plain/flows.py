"""Flows of a project without a build system."""

import os
import signal
import time
from pathlib import Path

from prefect import flow


@flow(log_prints=True)
def hello(name: str = "world", times: int = 1) -> None:
    """Print a greeting."""
    print(f"hello {name} x{times}")


def undecorated(path: str, text: str) -> None:
    """A plain function: the engine makes a flow of it, which logs no prints."""
    Path(path).write_text(text)


@flow
def failing() -> None:
    """Fail."""
    raise ValueError("this flow fails on purpose")


@flow
def exiting(code: int) -> None:
    """End the engine's process."""
    os._exit(code)


@flow(log_prints=True)
def recording_signals(folder: str) -> None:
    """Write the number of every signal that arrives, as a byte, and leave Prefect's handlers in place."""
    record = os.open(Path(folder, "signals"), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK)
    signal.set_wakeup_fd(record, warn_on_full_buffer=False)
    Path(folder, "ready").touch()
    time.sleep(60)
