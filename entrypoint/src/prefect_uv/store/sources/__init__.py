"""Where an environment's contents come from: a lock, requirements that are resolved, or additions to another one."""

from prefect_uv.store.sources.additions import Additions
from prefect_uv.store.sources.base import Plan, Source
from prefect_uv.store.sources.locked import LockedSource
from prefect_uv.store.sources.unlocked import UnlockedSource

__all__ = ["Additions", "LockedSource", "Plan", "Source", "UnlockedSource"]
