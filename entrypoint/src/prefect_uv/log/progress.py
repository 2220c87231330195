"""Log lines that show that a long step is still running, and how far it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prefect_uv.log.run_log import Activity, RunLog

PROGRESS_SECONDS = 10.0
LONGEST_SECONDS = 60.0


def no_details() -> str:
    """The details of a step that says nothing about itself."""
    return ""


@contextmanager
def logging_progress(log: RunLog, name: str, details: Callable[[], str] = no_details) -> Iterator[None]:
    """Log that an activity is still going on, until the block ends: after ten seconds, then at growing intervals.

    An activity within another one logs nothing itself: the lines of the outer one say what the inner one is doing.

    Args:
        log: the log.
        name: what is going on, such as `cloning <url>`.
        details: says how far it is; called from another thread.
    """
    outermost, activity = not log.activities, Activity(name, details)
    log.activities.append(activity)
    try:
        if not outermost:
            yield
            return
        ended = threading.Event()
        thread = threading.Thread(target=report_progress, args=(log, ended), daemon=True, name="still-going")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
    finally:
        log.activities.remove(activity)


def report_progress(log: RunLog, ended: threading.Event) -> None:
    """Log lines about the current activity until it has ended."""
    start = time.monotonic()
    pause = PROGRESS_SECONDS
    while not ended.wait(pause):
        name, details = log.activity()
        log.info(f"still {name} after {time.monotonic() - start:.0f} s{details and ': '}{details}")
        pause = min(2 * pause, LONGEST_SECONDS)
