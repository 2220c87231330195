"""A flow of the package."""

from prefect import flow

from shop.prices import total


@flow(log_prints=True)
def report() -> None:
    """Print a sum that another module of the package computes."""
    print(f"total {total(100, 23)}")
