"""A flow with a pylock.toml."""

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
