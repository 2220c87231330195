"""Unlocked requirements: from files, a script or a pull step, or Prefect alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from prefect_uv.environments.key.fingerprint import Field, project_fields
from prefect_uv.environments.plan.indexes.wheel_directory import list_wheels
from prefect_uv.environments.plan.interpreter import choose_interpreter
from prefect_uv.environments.plan.pylock import Pylock
from prefect_uv.environments.plan.resolution import installer, resolve_requirements, resolve_script
from prefect_uv.environments.plan.source import Plan, contents_of
from prefect_uv.environments.uv.uv_command import Uv
from prefect_uv.log.run_log import RunLog
from prefect_uv.package_names import PREFECT, has_prefect
from prefect_uv.project import UnlockedProject, prefect_missing_error
from prefect_uv.project.files.requirements_files import Requirements
from prefect_uv.settings import Settings


@dataclass(frozen=True)
class UnlockedSource:
    """An unlocked project, and the settings that decide how it is resolved."""

    project: UnlockedProject
    settings: Settings

    @property
    def name(self) -> str:
        """The project's name."""
        return self.project.name

    def fields(self) -> list[Field]:
        """The project's files, its requirements and constraints, and the wheels in the wheel directory."""
        fields: list[Field] = ["unlocked", *project_fields(self.project), str(len(self.project.requirements))]
        fields += [*self.project.requirements, str(len(self.project.constraints)), *self.project.constraints]
        return [*fields, *list_wheels(self.settings.wheels)]

    def hashed_names(self) -> set[str]:
        """The names of the packages for which a requirements file has hashes; a script without a lock has none."""
        if self.project.script:
            return set()
        project = self.project
        requirements = Requirements.read(project.directory, project.files, self.settings.environ, project.requirements)
        return {item.name for item in requirements.requirements if item.hashes}

    def plan(self, uv: Uv, log: RunLog) -> Plan:
        """What uv resolves the requirements to today.

        Raises:
            UnresolvableError, HashMismatchError, PrefectMissingError, PythonMissingError: there is nothing to build.
        """
        python = choose_interpreter(uv, self.project, log)
        lock, pinned = self._resolve(uv, python)
        packages = lock.packages()
        if not has_prefect(packages):
            raise prefect_missing_error(self.project, packages)
        contents = contents_of(uv, self.project, python, packages)
        from prefect_uv.environments.plan.origins import resolved_origins  # noqa: PLC0415 (no warm start plans)

        origins = partial(resolved_origins, lock, self.hashed_names(), uv.settings.wheels)
        return Plan(contents, installer(uv, lock), lock.names <= pinned, origins=origins)

    def _resolve(self, uv: Uv, python: str) -> tuple[Pylock, set[str]]:
        """The packages, and the names of those that the requirements pin to one version."""
        project = self.project
        if project.script:
            return _without_duplicate_prefect(resolve_script(uv, python, project.script)), project.script.pinned
        requirements = Requirements.read(project.directory, project.files, self.settings.environ, project.requirements)
        lock = resolve_requirements(uv, python, requirements, constraints=project.constraints)
        return _without_duplicate_prefect(lock), requirements.pinned


def _without_duplicate_prefect(lock: Pylock) -> Pylock:
    """Leave `prefect-client` out if `prefect` is there too: they install the same files.

    Prefect 3.8.8: builds both from one tree. https://github.com/PrefectHQ/prefect/tree/3.8.8/client
    """
    return lock.without(PREFECT[1:]) if PREFECT[0] in lock.names else lock
