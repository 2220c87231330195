"""A flow that says which files its modules are."""

import acme.prices
import acme.shop
import acme.stock
from prefect import flow


@flow
def hello():
    """Return where the modules lie in the checkout."""
    return [acme.prices.PLACE, acme.shop.PLACE, acme.stock.PLACE]
