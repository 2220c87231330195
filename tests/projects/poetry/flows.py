"""A flow of a Poetry project."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
