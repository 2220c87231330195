"""A flow with hashed requirements that do not name Prefect."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
