"""A flow of a project that the workspace excludes."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
