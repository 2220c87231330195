"""Long steps say that they are still going."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from prefect_uv.runlog import RunLog

EVERY_SECONDS = 10.0


@contextmanager
def still_going(log: RunLog, what: str, every: float = EVERY_SECONDS) -> Iterator[None]:
    """Say every ten seconds that `what` goes on, until the block ends."""
    over = threading.Event()
    start = time.monotonic()

    def say() -> None:
        while not over.wait(every):
            log.info(f"still {what}, since {time.monotonic() - start:.0f} s")

    thread = threading.Thread(target=say, daemon=True, name="still-going")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
