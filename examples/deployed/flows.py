"""A flow whose code no commit has."""

import sys

import humanize
from prefect import flow


@flow(log_prints=True)
def greet(name: str = "world") -> None:
    """Greet someone, and say where the dependencies are."""
    print(f"Hello, {name}! {humanize.intcomma(12345)} orders, counted by {sys.prefix}")
