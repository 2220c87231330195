"""A flow below tool settings that make no project."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
