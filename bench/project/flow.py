"""The flow of the measurements: it does nothing, for as long as it is told to."""

import time

from prefect import flow


@flow
def idle(seconds: float = 0) -> None:
    """Sleep."""
    time.sleep(seconds)
