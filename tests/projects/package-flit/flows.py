"""A flow that says which files its modules are."""

import flit_other
from prefect import flow


@flow
def hello():
    """Return where the modules lie in the checkout."""
    return [flit_other.PLACE]
