"""A project or a script with a lock: uv exports, plans and installs what is selected."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

from prefect_uv.environments.key.environment_contents import Package
from prefect_uv.environments.key.fingerprint import Field, digest_fields, project_fields, without_credentials
from prefect_uv.environments.plan.indexes.lock_indexes import environ_for_lock_check
from prefect_uv.environments.plan.indexes.wheel_directory import install_from_wheels, requirement_lines
from prefect_uv.environments.plan.interpreter import choose_interpreter
from prefect_uv.environments.plan.source import Plan, contents_of
from prefect_uv.environments.uv.uv_command import NOWHERE, Uv
from prefect_uv.errors import PrefectUvError
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
        """The project's name."""
        return self.project.name

    def fields(self) -> list[Field]:
        """The lock and the project's files, the selection and the policy."""
        return ["locked", self.policy, *project_fields(self.project), *self.project.selection.options]

    def hashed_names(self) -> set[str]:
        """None: the key has the lock's addresses and hashes, so every project with this key has the same."""
        return set()

    def plan(self, uv: Uv, log: RunLog) -> Plan:
        """What uv installs from the lock here.

        Raises:
            LockfileStaleError, PrefectMissingError, PythonMissingError: there is nothing to build.
        """
        python = choose_interpreter(uv, self.project, log)
        if self.policy == "relock":
            log.info("locking again (PREFECT_UV_LOCK=relock)")
            self._run_uv(uv, "lock", *self.project.target)
        exported = parse_requirements(self._export(uv, python))
        packages = planned_packages(exported, self._planned_versions(uv, python))
        if not has_prefect(packages):
            raise prefect_missing_error(self.project)
        contents, pinned = contents_of(uv, self.project, python, packages), self.policy != "relock"
        from prefect_uv.environments.plan.origins import locked_origins  # noqa: PLC0415 (no warm start plans)

        versions = {name: package.version for name, package in packages.items()}
        origins = partial(locked_origins, self.project.lock, versions, uv.settings.wheels)
        if uv.settings.wheels:
            pins = requirement_lines(self.project.root, contents, exported)
            return Plan(contents, partial(install_from_wheels, uv, pins), pinned, origins=origins)
        return Plan(contents, partial(self.sync, uv, python), pinned, origins=origins)

    def _export(self, uv: Uv, python: str) -> str:
        """The selected requirements with hashes; the policy `locked` makes uv refuse a stale lock.

        uv 0.13.8: https://docs.astral.sh/uv/reference/cli/#uv-export
        """
        policy = "--locked" if self.policy == "locked" else "--frozen"
        selected = (*self.project.target, *self._selection(), *self._excluding("--no-emit-package"))
        if self.policy == "locked":
            environ = environ_for_lock_check(self.project, uv.settings.environ)
            uv = replace(uv, settings=replace(uv.settings, environ=environ))
        return self._run_uv(uv, "export", policy, *selected, "--python", python, "--no-header", "--no-annotate")

    def _planned_versions(self, uv: Uv, python: str) -> dict[str, str]:
        """Names and versions of what a sync installs here.

        uv 0.13.8: has no version for packages that it has not built yet (covered by test_locked_package_from_git), and
        calls this JSON experimental. https://docs.astral.sh/uv/reference/cli/#uv-sync--output-format
        """
        options = ("--dry-run", "--output-format", "json")
        report = self._run_uv(uv, *self._sync_words(python), *options, environment=Path(NOWHERE))
        planned = {change["name"]: change.get("version", "") for change in json.loads(report)["sync"]["changes"]}
        locked = versions_from_addresses(self.project.lock.read_text())
        return {name: locked.get(name, version) for name, version in planned.items()}

    def sync(self, uv: Uv, python: str, environment: Path, link_mode: str) -> None:
        """Install the lock, without the project's own code, and have uv compare the result with the lock.

        uv 0.13.8: https://docs.astral.sh/uv/concepts/projects/sync/#partial-installations
        """
        self._run_uv(uv, *self._sync_words(python), "--link-mode", link_mode, environment=environment)
        self._run_uv(uv, *self._sync_words(python), "--check", environment=environment)

    def _sync_words(self, python: str) -> tuple[str, ...]:
        selected = (*self.project.target, *self._selection(), *self._excluding("--no-install-package"))
        return ("sync", "--frozen", *selected, "--python", python, *(("--active",) if self.project.script else ()))

    def _selection(self) -> tuple[str, ...]:
        """The options that select; none for a script, for which uv accepts none."""
        return () if self.project.script else self.project.selection.options

    def _excluding(self, option: str) -> list[str]:
        """Options that leave out packages built from source code in the checkout; wheels in it stay."""
        lock = self.project.lock.read_text() if self.project.lock.is_file() else ""
        return [word for name in _built_here(lock) for word in (option, name)]

    def _run_uv(self, uv: Uv, *arguments: str, environment: Path | None = None) -> str:
        """uv's output for a command that works on an environment of ours.

        uv 0.13.8: takes no path for a script's environment, but an active one.
        https://docs.astral.sh/uv/reference/cli/#uv-sync--active
        """
        variable = "VIRTUAL_ENV" if self.project.script else "UV_PROJECT_ENVIRONMENT"
        environ = {variable: str(environment)} if environment else {}
        try:
            return uv.run_checked(*arguments, cwd=self.project.directory, environ=environ).stdout
        except PrefectUvError as error:
            from prefect_uv.environments.plan.indexes.local_indexes import explain_missing_directory  # noqa: PLC0415 (rare)

            raise explain_missing_directory(error, self.project.lock, uv.image.uv) from None


_built_here = lru_cache(maxsize=1)(built_here)  # every uv command needs it, of the same long text


def planned_packages(exported: Iterable[Requirement], planned: Mapping[str, str]) -> dict[str, Package]:
    """The packages that uv plans to install, each with a digest of the files that it comes from.

    Args:
        exported: the lock's requirements, with hashes.
        planned: versions by name.
    """
    digests: dict[str, dict[str, str]] = {}
    for requirement in exported:
        origin = requirement.version or (
            "" if requirement.hashes and not requirement.named else requirement.version_or_address
        )
        digests.setdefault(requirement.name, {})[requirement.version] = digest_fields(
            [without_credentials(origin), *requirement.hashes]
        )
    return {name: Package(version, _source_digest(digests.get(name, {}), version)) for name, version in planned.items()}


def _source_digest(digests: Mapping[str, str], version: str) -> str:
    """The digest for a version; packages from an address have none in the export, so all without one count together."""
    return digests.get(version) or digest_fields(value for key, value in sorted(digests.items()) if not key)
