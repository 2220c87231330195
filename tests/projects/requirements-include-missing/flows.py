"""A flow with requirements that include a missing file."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
