"""A flow of a package."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
