"""A flow of a package without src."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
