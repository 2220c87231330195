"""The project's own code, which no environment contains: imported from its sources, or built and installed."""

from prefect_uv.project_code.importable_code import FlowCode, ProjectCode, baked_code_directory, install_project

__all__ = ["FlowCode", "ProjectCode", "baked_code_directory", "install_project"]
