"""The deployment's pull steps, performed in order."""

from prefect_uv.pull.checkout import Checkout
from prefect_uv.pull.steps import pull

__all__ = ["Checkout", "pull"]
