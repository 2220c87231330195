"""A flow of a Pipenv project."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
