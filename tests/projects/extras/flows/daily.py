"""A flow with requirements-extras.txt beside it."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
