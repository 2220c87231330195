"""Which project is this: a look at its files, without running anything and without changing anything."""

from prefect_uv.project.extras import extras
from prefect_uv.project.kinds import Extras, Locked, Project, Unlocked
from prefect_uv.project.look import look, tell
from prefect_uv.project.missing import prefect_missing

__all__ = ["Extras", "Locked", "Project", "Unlocked", "extras", "look", "prefect_missing", "tell"]
