"""Where an environment's contents come from: a lock, requirements that are resolved, or additions to another one."""

from prefect_uv.project import Locked, Project, Unlocked
from prefect_uv.settings import Settings
from prefect_uv.store.sources.additions import Additions
from prefect_uv.store.sources.base import Plan, Source
from prefect_uv.store.sources.locked import LockedSource
from prefect_uv.store.sources.unlocked import UnlockedSource

__all__ = ["Additions", "Plan", "Source", "source_of"]


def source_of(project: Project, settings: Settings) -> Source:
    """The source of a project's environment."""
    match project:
        case Locked():
            return LockedSource(project, settings.lock)
        case Unlocked():
            return UnlockedSource(project, settings)
    raise TypeError(project)
