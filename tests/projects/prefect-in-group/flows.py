"""A flow whose Prefect is in a group."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
