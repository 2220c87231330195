"""A flow with a group without Prefect."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
