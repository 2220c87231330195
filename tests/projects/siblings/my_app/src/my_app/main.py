"""A flow of an independent package."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
