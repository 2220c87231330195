"""A flow in a workspace root that is not a project."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
