"""Long steps say that they are still going."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from prefect_uv.log.run_log import RunLog

PROGRESS_SECONDS = 10.0


@contextmanager
def logging_progress(log: RunLog, what: str, every: float = PROGRESS_SECONDS) -> Iterator[None]:
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
