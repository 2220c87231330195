"""The environments on the cache volume: built once, found again by what they are made of."""

from prefect_uv.store.keeper import Keeper
from prefect_uv.store.shelf import Environment
from prefect_uv.store.store import Store

__all__ = ["Environment", "Keeper", "Store"]
