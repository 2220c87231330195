"""A flow in a script that does not depend on Prefect."""

# /// script
# requires-python = ">=3.11"
# dependencies = ["trinket"]
# ///

from prefect import flow


@flow
def hello() -> None:
    """Do nothing."""
