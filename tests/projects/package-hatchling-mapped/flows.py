"""A flow that says which files its modules are."""

import hatch_a
import hatch_b
import hatch_force
import hatch_hook.made
import hatch_vendored
from prefect import flow


@flow
def hello():
    """Return where the modules lie in the checkout."""
    return [hatch_a.PLACE, hatch_b.PLACE, hatch_force.PLACE, hatch_hook.made.PLACE, hatch_vendored.PLACE]
