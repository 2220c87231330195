"""The environments on the cache volume: built once, found again by what they are made of."""

from prefect_uv.environments.environment_store import EnvironmentStore
from prefect_uv.environments.maintenance import Maintenance
from prefect_uv.environments.published_environments import Environment

__all__ = ["Environment", "EnvironmentStore", "Maintenance"]
