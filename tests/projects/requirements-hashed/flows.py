"""A flow beside hashed requirements without Prefect."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
