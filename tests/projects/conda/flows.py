"""A flow of a conda environment."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
