"""A flow that says which files its modules are."""

import hatch_renamed
from prefect import flow


@flow
def hello():
    """Return where the modules lie in the checkout."""
    return [hatch_renamed.PLACE]
