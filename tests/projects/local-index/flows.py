"""A flow that needs a package from a private index."""

import trinket
from prefect import flow


@flow(log_prints=True)
def hello() -> None:
    """Print what the package says."""
    print(trinket.SAYS)
