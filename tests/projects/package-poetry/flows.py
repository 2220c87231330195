"""A flow that says which files its modules are."""

import poetry_from
from prefect import flow


@flow
def hello():
    """Return where the modules lie in the checkout."""
    return [poetry_from.PLACE]
