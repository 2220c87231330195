"""The project's own code, which no environment of the store holds: imported from its sources, or installed anew."""

from prefect_uv.project_code.flow_code import FlowCode, ProjectCode, baked_place, install_project

__all__ = ["FlowCode", "ProjectCode", "baked_place", "install_project"]
