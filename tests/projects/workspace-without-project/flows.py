"""A flow beside the members of a workspace."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
