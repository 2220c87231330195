"""The deployment's pull steps, performed in order."""

from prefect_uv.pull.steps import pull
from prefect_uv.pull.workspace import Workspace

__all__ = ["Workspace", "pull"]
