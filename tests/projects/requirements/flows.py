"""A flow with a requirements.txt."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
