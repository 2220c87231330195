"""A flow with a folder of requirements files."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
