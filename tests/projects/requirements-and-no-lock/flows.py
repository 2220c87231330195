"""A flow of a project without a lock beside requirements.txt."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
