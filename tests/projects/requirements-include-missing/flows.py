"""A flow beside requirements that include a file that is not there."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
