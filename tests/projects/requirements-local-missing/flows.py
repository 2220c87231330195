"""A flow beside requirements that install a directory that is not there."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
