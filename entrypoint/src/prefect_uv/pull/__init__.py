"""Get the deployment's code: perform its pull steps in order, read its storage block, or go to its path."""

from prefect_uv.pull.checkout import Checkout
from prefect_uv.pull.steps import pull

__all__ = ["Checkout", "pull"]
