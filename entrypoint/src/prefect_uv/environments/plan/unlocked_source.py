"""Requirements that nothing locks: of files, of a script, of a pull step, or Prefect alone."""

from __future__ import annotations

from dataclasses import dataclass

from prefect_uv.environments.key.fingerprint import Field, project_fields
from prefect_uv.environments.plan.interpreter import choose_interpreter
from prefect_uv.environments.plan.pylock import Pylock
from prefect_uv.environments.plan.resolution import installer, resolve_requirements, resolve_script
from prefect_uv.environments.plan.source import Plan, contents_of
from prefect_uv.environments.plan.wheel_directory import list_wheels
from prefect_uv.environments.uv.uv_command import Uv
from prefect_uv.log.run_log import RunLog
from prefect_uv.package_names import PREFECT, has_prefect
from prefect_uv.project import UnlockedProject, prefect_missing_error
from prefect_uv.project.files.requirements_files import Requirements
from prefect_uv.settings import Settings


@dataclass(frozen=True)
class UnlockedSource:
    """Requirements with the directory of wheels, if they come from one."""

    project: UnlockedProject
    settings: Settings

    @property
    def name(self) -> str:
        """The project's."""
        return self.project.name

    def fields(self) -> list[Field]:
        """The lines, and all that the files say; of a directory of wheels, which there are."""
        fields: list[Field] = ["unlocked", *project_fields(self.project), str(len(self.project.requirements))]
        fields += [*self.project.requirements, str(len(self.project.constraints)), *self.project.constraints]
        return [*fields, *list_wheels(self.settings)]

    def plan(self, uv: Uv, log: RunLog) -> Plan:
        """As uv resolves them today.

        Raises:
            UnresolvableError, HashMismatchError, PrefectMissingError, PythonMissingError: nothing is worth building.
        """
        python = choose_interpreter(uv, self.project, log)
        lock, pinned = self._resolved(uv, python)
        packages = lock.packages()
        if not has_prefect(packages):
            raise prefect_missing_error(self.project, packages)
        contents = contents_of(uv, self.project, python, packages)
        return Plan(contents, installer(uv, lock), lock.names <= pinned)

    def _resolved(self, uv: Uv, python: str) -> tuple[Pylock, set[str]]:
        """The packages, and the names of those of which only one version will ever do."""
        project = self.project
        if project.script:
            return _one_prefect(resolve_script(uv, python, project.script.path)), project.script.pinned
        found = Requirements.read(project.directory, project.files, self.settings.environ, project.requirements)
        return _one_prefect(resolve_requirements(uv, python, found, constraints=project.constraints)), found.pinned


def _one_prefect(lock: Pylock) -> Pylock:
    """`prefect-client` is a part of `prefect`, with the same files: where all of it is wanted, the part is left out."""
    return lock.without(PREFECT[1:]) if PREFECT[0] in lock.names else lock
