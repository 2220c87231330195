"""A flow of a project with a requirements.txt but without a lockfile."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
