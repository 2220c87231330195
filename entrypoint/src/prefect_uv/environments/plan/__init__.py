"""Planning an environment: its packages come from a lock, are resolved, or extend another environment."""

from prefect_uv.environments.plan.extra_packages_source import ExtraPackagesSource
from prefect_uv.environments.plan.locked_source import LockedSource
from prefect_uv.environments.plan.pylock_source import PylockSource
from prefect_uv.environments.plan.source import Plan, Source
from prefect_uv.environments.plan.unlocked_source import UnlockedSource
from prefect_uv.project import LockedProject, Project, PylockProject, UnlockedProject
from prefect_uv.settings import Settings

__all__ = ["ExtraPackagesSource", "Plan", "Source", "source_of"]


def source_of(project: Project, settings: Settings) -> Source:
    """The source of a project's environment, by whether the project is locked."""
    match project:
        case LockedProject():
            return LockedSource(project, settings.lock)
        case PylockProject():
            return PylockSource(project)
        case UnlockedProject():
            return UnlockedSource(project, settings)
    raise TypeError(project)
