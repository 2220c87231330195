"""A flow with the client alone."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
