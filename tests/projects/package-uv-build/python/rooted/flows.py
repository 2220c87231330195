"""A flow that says which files its modules are."""

import rooted
from prefect import flow


@flow
def hello():
    """Return where the modules lie in the checkout."""
    return [rooted.PLACE]
