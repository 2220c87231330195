"""Log lines that show that a long step is still running."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from prefect_uv.log.run_log import RunLog

PROGRESS_SECONDS = 10.0


@contextmanager
def logging_progress(log: RunLog, activity: str, every: float = PROGRESS_SECONDS) -> Iterator[None]:
    """Log every ten seconds that an activity, such as `cloning <url>`, is still going on, until the block ends."""
    ended = threading.Event()
    start = time.monotonic()

    def report() -> None:
        while not ended.wait(every):
            log.info(f"still {activity} after {time.monotonic() - start:.0f} s")

    thread = threading.Thread(target=report, daemon=True, name="still-going")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
