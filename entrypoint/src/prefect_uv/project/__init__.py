"""Which project the flow belongs to, decided by reading the pulled files: nothing is run, and nothing is changed."""

from prefect_uv.project.discovery.project_finder import find_project, log_project
from prefect_uv.project.extra_packages import find_extra_packages
from prefect_uv.project.model import ExtraPackages, LockedProject, Project, PylockProject, UnlockedProject
from prefect_uv.project.prefect_missing import prefect_missing_error

__all__ = [
    "ExtraPackages",
    "LockedProject",
    "Project",
    "PylockProject",
    "UnlockedProject",
    "find_extra_packages",
    "find_project",
    "log_project",
    "prefect_missing_error",
]
