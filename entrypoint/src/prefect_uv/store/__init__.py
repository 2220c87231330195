"""The environments on the cache volume: built once, found again by what they are made of."""

from prefect_uv.store.store import Environment, Store

__all__ = ["Environment", "Store"]
