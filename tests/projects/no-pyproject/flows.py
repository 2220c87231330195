"""A flow without a project."""

from prefect import flow


@flow
def hello() -> None:
    """Never run."""
