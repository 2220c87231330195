"""A flow that needs the extension."""

from prefect import flow
from sums._fast import add


@flow(log_prints=True)
def hello():
    """Print a sum."""
    print(f"total {add(100, 23)}")
