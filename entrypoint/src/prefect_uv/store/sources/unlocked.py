"""Requirements that nothing locks: of files, of a script, of a pull step, or Prefect alone."""

from __future__ import annotations

from dataclasses import dataclass

from prefect_uv.names import PREFECT, has_prefect
from prefect_uv.project import Unlocked, prefect_missing
from prefect_uv.project.requirements import Requirements
from prefect_uv.runlog import RunLog
from prefect_uv.settings import Settings
from prefect_uv.store.identity import Field, project_fields
from prefect_uv.store.pylock import Pylock
from prefect_uv.store.python import interpreter
from prefect_uv.store.sources.base import Plan, contents_of
from prefect_uv.store.sources.resolve import installer, resolve, resolve_script
from prefect_uv.store.sources.wheels import listing
from prefect_uv.store.uv import Uv


@dataclass(frozen=True)
class UnlockedSource:
    """Requirements with the directory of wheels, if they come from one."""

    project: Unlocked
    settings: Settings

    @property
    def name(self) -> str:
        """The project's."""
        return self.project.name

    def fields(self) -> list[Field]:
        """The lines, and all that the files say; of a directory of wheels, which there are."""
        fields: list[Field] = ["unlocked", *project_fields(self.project), str(len(self.project.requirements))]
        fields += [*self.project.requirements, str(len(self.project.constraints)), *self.project.constraints]
        return [*fields, *listing(self.settings)]

    def plan(self, uv: Uv, log: RunLog) -> Plan:
        """As uv resolves them today.

        Raises:
            UnresolvableError, HashMismatchError, PrefectMissingError, PythonMissingError: nothing is worth building.
        """
        python = interpreter(uv, self.project, log)
        lock, pinned = self._resolved(uv, python)
        packages = lock.packages()
        if not has_prefect(packages):
            raise prefect_missing(self.project, packages)
        contents = contents_of(uv, self.project, python, packages)
        return Plan(contents, installer(uv, lock), lock.names <= pinned)

    def _resolved(self, uv: Uv, python: str) -> tuple[Pylock, set[str]]:
        """The packages, and the names of those of which only one version will ever do."""
        project = self.project
        if project.script:
            return _one_prefect(resolve_script(uv, python, project.script.path)), project.script.pinned
        found = Requirements.read(project.directory, project.files, self.settings.environ, project.requirements)
        return _one_prefect(resolve(uv, python, found, constraints=project.constraints)), found.pinned


def _one_prefect(lock: Pylock) -> Pylock:
    """`prefect-client` is a part of `prefect`, with the same files: where all of it is wanted, the part is left out."""
    return lock.without(PREFECT[1:]) if PREFECT[0] in lock.names else lock
