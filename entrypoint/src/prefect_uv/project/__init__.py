"""Which project is this: a look at its files, without running anything and without changing anything."""

from prefect_uv.project.extras import extras
from prefect_uv.project.kinds import Extras, Locked, Project, Unlocked
from prefect_uv.project.look import look, look_and_tell
from prefect_uv.project.missing import prefect_missing

__all__ = ["Extras", "Locked", "Project", "Unlocked", "extras", "look", "look_and_tell", "prefect_missing"]
