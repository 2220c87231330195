"""A flow that needs what is beside its repository."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
