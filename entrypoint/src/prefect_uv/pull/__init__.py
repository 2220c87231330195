"""The deployment's pull steps, performed in order."""

from prefect_uv.pull.steps import Workspace, pull

__all__ = ["Workspace", "pull"]
