"""A flow whose project is wrong."""

from prefect import flow


@flow
def hello() -> None:
    """Never run."""
