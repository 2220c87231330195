"""A flow of a package."""

from prefect import flow


@flow
def hello():
    """Do nothing."""
