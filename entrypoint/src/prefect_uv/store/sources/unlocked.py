"""Requirements that nothing locks: of files, of a script, of a pull step, or Prefect alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

from prefect_uv.names import PREFECT, has_prefect
from prefect_uv.project import Unlocked, prefect_missing
from prefect_uv.runlog import RunLog
from prefect_uv.settings import Settings
from prefect_uv.store.identity import Field, project_fields
from prefect_uv.store.pylock import Pylock
from prefect_uv.store.python import interpreter
from prefect_uv.store.requirements import sources
from prefect_uv.store.sources.base import Plan, contents_of
from prefect_uv.store.sources.resolve import Wanted, installer, is_pinned, resolve
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
        return [*fields, *(part for entry in sources(self.project.files) for part in entry), *listing(self.settings)]

    def plan(self, uv: Uv, log: RunLog) -> Plan:
        """As uv resolves them today.

        Raises:
            UnresolvableError, HashMismatchError, PrefectMissingError, PythonMissingError: nothing is worth building.
        """
        project = self.project
        python = interpreter(uv, project, log)
        wishes = Wanted(project.directory, project.requirements, project.files, project.constraints)
        wishes = replace(wishes, hashed=any(item.hashes for item in wishes.requirements))
        lock = _one_prefect(resolve(uv, python, wishes))
        packages = lock.packages()
        if not has_prefect(packages):
            raise prefect_missing(project, packages)
        contents = contents_of(uv, project, python, packages)
        return Plan(contents, installer(uv, lock), is_pinned(lock, wishes.requirements))


def _one_prefect(lock: Pylock) -> Pylock:
    """`prefect-client` is a part of `prefect`, with the same files: where all of it is wanted, the part is left out."""
    return lock.without(PREFECT[1:]) if PREFECT[0] in lock.entries else lock
