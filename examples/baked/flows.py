"""A flow whose dependencies are in the image that it runs in."""

import sys

import humanize
from prefect import flow


@flow(log_prints=True)
def report(orders: int = 12_345) -> str:
    """Say how many orders there are."""
    text = f"{humanize.intcomma(orders)} orders, counted by {sys.prefix.rpartition('/')[0]}"
    print(text)
    return text
