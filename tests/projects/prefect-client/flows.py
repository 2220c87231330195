"""A flow with prefect-client only."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
