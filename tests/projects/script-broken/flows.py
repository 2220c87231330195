"""A flow in a script whose block is not TOML."""

# /// script
# requires-python = ">=3.11"
# dependencies = [["prefect==3.9.1"]
# ///

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
