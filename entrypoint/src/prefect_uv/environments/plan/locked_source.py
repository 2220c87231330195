"""A project or a script with a lock: what it selects, as uv exports, plans and syncs it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

from prefect_uv.environments.key.environment_contents import Package
from prefect_uv.environments.key.fingerprint import Field, digest_fields, project_fields, without_credentials
from prefect_uv.environments.plan.interpreter import choose_interpreter
from prefect_uv.environments.plan.lock_indexes import environ_for_lock_check
from prefect_uv.environments.plan.source import Plan, contents_of
from prefect_uv.environments.plan.wheel_directory import install_from_wheels, requirement_lines
from prefect_uv.environments.uv.uv_command import NOWHERE, Uv
from prefect_uv.log.run_log import RunLog
from prefect_uv.package_names import has_prefect
from prefect_uv.project import LockedProject, prefect_missing_error
from prefect_uv.project.files.requirement_lines import Requirement, parse_requirements
from prefect_uv.project.lockfile.lockfile_text import built_here, versions_from_addresses


@dataclass(frozen=True)
class LockedSource:
    """A locked project under a lock policy (`locked`, `frozen`, `relock`)."""

    project: LockedProject
    policy: str

    @property
    def name(self) -> str:
        """The project's."""
        return self.project.name

    def fields(self) -> list[Field]:
        """Lock, project files, selection and policy."""
        return ["locked", self.policy, *project_fields(self.project), *self.project.selection.options]

    def plan(self, uv: Uv, log: RunLog) -> Plan:
        """As uv itself resolves markers and settings.

        Raises:
            LockfileStaleError, PrefectMissingError, PythonMissingError: nothing is worth building.
        """
        python = choose_interpreter(uv, self.project, log)
        if self.policy == "relock":
            log.info("locking again (PREFECT_UV_LOCK=relock)")
            self._uv(uv, "lock", *self.project.target)
        exported = parse_requirements(self._export(uv, python))
        packages = planned_packages(exported, self._planned(uv, python))
        if not has_prefect(packages):
            raise prefect_missing_error(self.project)
        contents, pinned = contents_of(uv, self.project, python, packages), self.policy != "relock"
        if uv.settings.wheels:
            pins = requirement_lines(self.project.directory, contents, exported)
            return Plan(contents, partial(install_from_wheels, uv, pins), pinned)
        return Plan(contents, partial(self.sync, uv, python), pinned)

    def _export(self, uv: Uv, python: str) -> str:
        """The requirements of the selection, with hashes; the policy `locked` refuses a stale lock."""
        policy = "--locked" if self.policy == "locked" else "--frozen"
        wanted = (*self.project.target, *self._selection(), *self._without("--no-emit-package"), "--python", python)
        if self.policy == "locked":
            uv = replace(
                uv, settings=replace(uv.settings, environ=environ_for_lock_check(self.project, uv.settings.environ))
            )
        return self._uv(uv, "export", policy, *wanted, "--no-header", "--no-annotate")

    def _planned(self, uv: Uv, python: str) -> dict[str, str]:
        """Names and versions of what a sync installs here; uv does not know those of what it has not built yet."""
        told = self._uv(uv, *self._syncing(python), "--dry-run", "--output-format", "json", place=Path(NOWHERE))
        planned = {change["name"]: change.get("version", "") for change in json.loads(told)["sync"]["changes"]}
        locked = versions_from_addresses(self.project.lock.read_text())
        return {name: locked.get(name, version) for name, version in planned.items()}

    def sync(self, uv: Uv, python: str, place: Path, link_mode: str) -> None:
        """Bring the environment at `place` to the lock, without the project's own code, and let uv compare it."""
        self._uv(uv, *self._syncing(python), "--link-mode", link_mode, place=place)
        self._uv(uv, *self._syncing(python), "--check", place=place)

    def _syncing(self, python: str) -> tuple[str, ...]:
        wanted = (*self.project.target, *self._selection(), *self._without("--no-install-package"), "--python", python)
        return ("sync", "--frozen", *wanted, *(("--active",) if self.project.script else ()))

    def _selection(self) -> tuple[str, ...]:
        """A script has nothing to select, and uv takes no such options for one."""
        return () if self.project.script else self.project.selection.options

    def _without(self, option: str) -> list[str]:
        """Options that leave out what is built from source code in the checkout; wheels that lie there stay."""
        lock = self.project.lock.read_text() if self.project.lock.is_file() else ""
        return [word for name in _built_here(lock) for word in (option, name)]

    def _uv(self, uv: Uv, *arguments: str, place: Path | None = None) -> str:
        """uv works at a place of our choice, which is an active environment for a script (uv 0.13.8)."""
        variable = "VIRTUAL_ENV" if self.project.script else "UV_PROJECT_ENVIRONMENT"
        environ = {variable: str(place)} if place else {}
        return uv.checked(*arguments, cwd=self.project.directory, environ=environ).stdout


_built_here = lru_cache(maxsize=1)(built_here)  # a long text, the same for every command to uv


def planned_packages(exported: Iterable[Requirement], planned: Mapping[str, str]) -> dict[str, Package]:
    """The packages that uv plans to install, each with a digest of the files that it comes from."""
    found: dict[str, dict[str, str]] = {}
    for requirement in exported:
        origin = requirement.version or ("" if requirement.hashes and not requirement.named else requirement.what)
        found.setdefault(requirement.name, {})[requirement.version] = digest_fields(
            [without_credentials(origin), *requirement.hashes]
        )
    return {name: Package(version, _source(found.get(name, {}), version)) for name, version in planned.items()}


def _source(versions: Mapping[str, str], version: str) -> str:
    """By version; a package from an address has none in the export, and forks of addresses count together."""
    return versions.get(version) or digest_fields(value for key, value in sorted(versions.items()) if not key)
