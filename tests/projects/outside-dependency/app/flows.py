"""A flow that needs a package outside its repository."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
