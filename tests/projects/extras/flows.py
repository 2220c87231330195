"""A flow with a requirements-extras.txt in its directory."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
