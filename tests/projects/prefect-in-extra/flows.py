"""A flow whose Prefect is in an extra."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
