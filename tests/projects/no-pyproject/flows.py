"""A flow that is in no project."""

from prefect import flow


@flow
def hello() -> None:
    """Never run."""
