"""The flow that the benchmark runs."""

import time

from prefect import flow


@flow
def idle(seconds: float = 0) -> None:
    """Do nothing for some seconds."""
    time.sleep(seconds)
