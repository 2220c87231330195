"""A flow in a script in the directory of a project."""

# /// script
# requires-python = ">=3.11"
# dependencies = ["prefect==3.9.1", "trinket"]
# ///

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
