"""A flow of a locked project that also has a requirements.txt."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
