"""A flow of a member."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
