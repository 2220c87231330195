"""A flow with requirements that install a directory."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
