"""Which project is this: a look at its files, without running anything and without changing anything."""

from prefect_uv.project.kinds import Extras, Locked, Project, Unlocked
from prefect_uv.project.look import look

__all__ = ["Extras", "Locked", "Project", "Unlocked", "look"]
