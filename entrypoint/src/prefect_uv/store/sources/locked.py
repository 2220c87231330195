"""A project or a script with a lock: what it selects, as uv exports, plans and syncs it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from prefect_uv.project import Locked
from prefect_uv.runlog import RunLog
from prefect_uv.store.contents import Package
from prefect_uv.store.identity import Field, digest, project_fields, without_credentials
from prefect_uv.store.python import interpreter
from prefect_uv.store.requirements import Requirement, parsed
from prefect_uv.store.sources.base import Plan, contents_of, refuse_without_prefect
from prefect_uv.store.sources.wheels import install_from_wheels
from prefect_uv.store.uv import NOWHERE, Uv

HERE = {"virtual", "editable", "directory"}


@dataclass(frozen=True)
class LockedSource:
    """A locked project under a lock policy (`locked`, `frozen`, `relock`)."""

    project: Locked
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
        python = interpreter(uv, self.project, log)
        if self.policy == "relock":
            log.info("locking again, as PREFECT_UV_LOCK=relock says")
            self._uv(uv, "lock", *self.project.target)
        exported = parsed(self._export(uv, python))
        packages = _packages(exported, self._planned(uv, python))
        refuse_without_prefect(
            packages,
            "Prefect is not among the project's locked dependencies.",
            f"{self.project.lock} does not lock prefect for the selected groups on this platform.",
            "Run `uv add prefect`, commit pyproject.toml and uv.lock, and push.",
        )
        contents = contents_of(uv, self.project, python, packages)
        if uv.settings.wheels:
            return Plan(contents, partial(install_from_wheels, uv, self.project.directory, contents, exported))
        return Plan(contents, partial(self._sync, uv, python))

    def _export(self, uv: Uv, python: str) -> str:
        """The requirements of the selection, with hashes; the policy `locked` refuses a stale lock."""
        policy = "--locked" if self.policy == "locked" else "--frozen"
        wanted = (*self.project.target, *self._selection(), *self._without("--no-emit-package"), "--python", python)
        return self._uv(uv, "export", policy, *wanted, "--no-header", "--no-annotate")

    def _planned(self, uv: Uv, python: str) -> dict[str, str]:
        """Names and versions of what a sync installs here."""
        told = self._uv(uv, *self._syncing(python), "--dry-run", "--output-format", "json", place=Path(NOWHERE))
        return {change["name"]: change["version"] for change in json.loads(told)["sync"]["changes"]}

    def _sync(self, uv: Uv, python: str, place: Path, link_mode: str) -> None:
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
        return [word for name in _built_here(self.project.lock) for word in (option, name)]

    def _uv(self, uv: Uv, *arguments: str, place: Path | None = None) -> str:
        """uv works at a place of our choice, which is an active environment for a script (uv 0.13.8)."""
        variable = "VIRTUAL_ENV" if self.project.script else "UV_PROJECT_ENVIRONMENT"
        return uv.checked(
            *arguments, cwd=self.project.directory, environ={variable: str(place)} if place else {}
        ).stdout


def _built_here(lock: Path) -> Iterable[str]:
    """The packages of a lock whose source is a directory; what is no lock is left for uv, which says why."""
    try:
        document = tomllib.loads(lock.read_text())
    except (OSError, ValueError):
        return []
    return [package["name"] for package in document.get("package", []) if HERE & package.get("source", {}).keys()]


def _packages(exported: Iterable[Requirement], planned: Mapping[str, str]) -> dict[str, Package]:
    """The packages that uv plans to install, each with a digest of the files that it comes from."""
    found: dict[str, dict[str, str]] = {}
    for requirement in exported:
        origin = requirement.version or ("" if requirement.hashes and not requirement.named else requirement.what)
        found.setdefault(requirement.name, {})[requirement.version] = digest(
            [without_credentials(origin), *requirement.hashes]
        )
    return {name: Package(version, _source(found.get(name, {}), version)) for name, version in planned.items()}


def _source(versions: Mapping[str, str], version: str) -> str:
    """By version; a package from an address has none in the export, and forks of addresses count together."""
    return versions.get(version) or digest(value for key, value in sorted(versions.items()) if not key)
