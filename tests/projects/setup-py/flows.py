"""A flow of a project with setup.py alone."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
