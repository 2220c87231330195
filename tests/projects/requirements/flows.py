"""A flow beside requirements.txt."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
