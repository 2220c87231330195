"""Environments of projects: found by what they are made of, in the image or on the cache volume, or built once."""

from prefect_uv.environments.environment_store import EnvironmentStore
from prefect_uv.environments.maintenance import Maintenance
from prefect_uv.environments.published_environments import Environment

__all__ = ["Environment", "EnvironmentStore", "Maintenance"]
