"""A flow of a project that has only a setup.py."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
