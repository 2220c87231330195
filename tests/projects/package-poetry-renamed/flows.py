"""A flow that says which files its modules are."""

import poetry_to.poetry_code
from prefect import flow


@flow
def hello():
    """Return where the modules lie in the checkout."""
    return [poetry_to.poetry_code.PLACE]
