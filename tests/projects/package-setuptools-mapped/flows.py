"""A flow that says which files its modules are."""

import own_backend
import set_cfg
import set_py
import set_renamed
import set_where
from prefect import flow


@flow
def hello():
    """Return where the modules lie in the checkout."""
    return [own_backend.PLACE, set_cfg.PLACE, set_py.PLACE, set_renamed.PLACE, set_where.PLACE]
