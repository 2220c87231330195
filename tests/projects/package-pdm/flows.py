"""A flow that says which files its modules are."""

import pdm_lib
import pdm_src
from prefect import flow


@flow
def hello():
    """Return where the modules lie in the checkout."""
    return [pdm_lib.PLACE, pdm_src.PLACE]
