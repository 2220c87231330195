# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "astral>=3.2",
#     "prefect==3.8.8",
# ]
# ///
"""A flow in one file, which names its dependencies itself (PEP 723)."""

from datetime import date

from astral import moon
from prefect import flow

NEW, FULL = 0, 14


@flow(log_prints=True)
def phase(day: date = date(2026, 11, 24)) -> float:
    """How far the moon is between new (0) and full (14)."""
    found = float(moon.phase(day))
    print(f"On {day:%d %B %Y} the moon's phase is {found:.1f} (new is {NEW}, full is {FULL}).")
    return found
