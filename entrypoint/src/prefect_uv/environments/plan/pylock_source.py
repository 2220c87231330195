"""A project with a pylock.toml (PEP 751): uv chooses what is for this interpreter and installs it by its hashes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from prefect_uv.environments.key.fingerprint import Field, project_fields
from prefect_uv.environments.plan.indexes.wheel_directory import install_from_wheels
from prefect_uv.environments.plan.interpreter import choose_interpreter
from prefect_uv.environments.plan.pylock import Pylock
from prefect_uv.environments.plan.resolution import installer, planned_versions
from prefect_uv.environments.plan.source import Plan, contents_of
from prefect_uv.environments.uv.uv_command import Uv
from prefect_uv.log.run_log import RunLog
from prefect_uv.package_names import has_prefect
from prefect_uv.project import PylockProject, prefect_missing_error


@dataclass(frozen=True)
class PylockSource:
    """The packages of a project's pylock.toml."""

    project: PylockProject

    @property
    def name(self) -> str:
        """The project's name."""
        return self.project.name

    def fields(self) -> list[Field]:
        """The lockfile, the project's files and the selection."""
        return ["pylock", *project_fields(self.project), *self.project.options]

    def hashed_names(self) -> set[str]:
        """All packages: PEP 751 requires hashes."""
        return Pylock.of_project(self.project.lock).names

    def plan(self, uv: Uv, log: RunLog) -> Plan:
        """What uv installs from the lockfile here.

        Source code in the checkout is left out: it is imported from there.

        Raises:
            ProjectInvalidError, PrefectMissingError, PythonMissingError: there is nothing to build.
        """
        python = choose_interpreter(uv, self.project, log)
        lock, options = Pylock.of_project(self.project.lock).without_directories(), self.project.options
        planned = planned_versions(uv, python, lock, options)
        if not has_prefect(planned):
            raise prefect_missing_error(self.project)
        lock = lock.chosen(planned)
        packages = {name: replace(package, version=planned[name]) for name, package in lock.packages(options).items()}
        contents = contents_of(uv, self.project, python, packages)
        from prefect_uv.environments.plan.origins import resolved_origins  # noqa: PLC0415 (no warm start plans)

        origins = partial(resolved_origins, lock, None, uv.settings.wheels)
        if uv.settings.wheels:
            return Plan(contents, partial(install_from_wheels, uv, lock.requirement_lines()), origins=origins)
        return Plan(contents, installer(uv, lock, options), origins=origins)
