# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "astral>=3.2",
#     "prefect==3.9.1",
# ]
# ///
"""A flow in a single file that declares its own dependencies (https://peps.python.org/pep-0723/)."""

from datetime import date

from astral import moon
from prefect import flow

NEW, FULL = 0, 14


@flow(log_prints=True)
def phase(day: date = date(2026, 11, 24)) -> float:
    """The phase of the moon on a day: 0 is new, 14 is full."""
    position = float(moon.phase(day))
    print(f"On {day:%d %B %Y} the moon's phase is {position:.1f} (new is {NEW}, full is {FULL}).")
    return position
