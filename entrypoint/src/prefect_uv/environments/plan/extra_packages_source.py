"""What one deployment wants beside its project: the project's environment with some packages more.

Resolved once against the environment itself, so that nothing in it changes, wherever its packages came from.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from prefect_uv.environments.key.fingerprint import Field, project_fields
from prefect_uv.environments.key.manifest import DescribedEnvironment
from prefect_uv.environments.plan.resolution import installer, lines_for, resolve_requirements
from prefect_uv.environments.plan.source import Plan
from prefect_uv.environments.plan.wheel_directory import list_wheels
from prefect_uv.environments.uv.uv_command import Uv
from prefect_uv.errors import ExtrasConflictError, OfflineMissingError, PrefectUvError, UnresolvableError
from prefect_uv.log.run_log import RunLog
from prefect_uv.package_names import normalized
from prefect_uv.processes.subprocesses import CompletedCommand
from prefect_uv.project import ExtraPackages, Project
from prefect_uv.project.files.requirements_files import Requirements
from prefect_uv.project.lockfile.local_packages import LocalPackage
from prefect_uv.settings import Settings

_NAME = re.compile(r"\b[A-Za-z0-9][A-Za-z0-9._-]*")
CONFLICT_HINT = (
    "Choose another version of the extra package; or add it to the project with `uv add`, so that both are locked"
    " together, then commit and push."
)
DIRECTORY_HINT = (
    "Make it a dependency of the project (with `uv add`, or in requirements.txt), commit and push; or name a wheel of"
    " it; or add its source directory to PREFECT_UV_SOURCE_ROOT."
)


@dataclass(frozen=True)
class ExtraPackagesSource:
    """Extras for an environment that is there.

    Attributes:
        base: the environment, by its place and manifest.
        extras: what is wanted beside it.
        project: where uv's settings and relative paths are looked for.
        settings: the deployment's choices.
    """

    base: DescribedEnvironment
    extras: ExtraPackages
    project: Project
    settings: Settings

    @cached_property
    def found(self) -> Requirements:
        """The lines and files, read."""
        extras = self.extras
        return Requirements.read(self.project.directory, extras.files, self.settings.environ, extras.requirements)

    @property
    def name(self) -> str:
        """The project's, with the packages by name."""
        names = sorted({item.name for item in self.found.requirements})
        return f"{self.project.name} + {', '.join(names) or 'nothing'}"

    def fields(self) -> list[Field]:
        """The environment, the lines, and all that the files say."""
        fields: list[Field] = ["additions", self.base[1].key, *project_fields(self.project)]
        fields += [str(len(self.extras.requirements)), *self.extras.requirements, *list_wheels(self.settings)]
        return [*fields, *(part for entry in self.found.inputs for part in entry)]

    def unpinned(self) -> list[str]:
        """The extras whose version nothing says: neither they nor the environment."""
        there = self.base[1].contents.packages
        return sorted({item.name for item in self.found.requirements if not item.exact and item.name not in there})

    def check(self) -> None:
        """Source code is no part of an environment, and what the project does not know is not imported either.

        Raises:
            UnresolvableError: there is such a directory among the extras.
        """
        for item in self.found.requirements:
            place = (self.project.directory / item.path).resolve()
            if item.path and place.is_dir() and not self._is_imported(place):
                raise UnresolvableError(
                    f"{item.what} cannot be an extra package: it is a directory.",
                    f"{place} is not part of the project, so no flow could import it.",
                    DIRECTORY_HINT,
                )

    def plan(self, uv: Uv, _log: RunLog) -> Plan:
        """The environment's own contents and what has to be added; its own alone when it satisfies the extras.

        Raises:
            ExtrasConflictError: an extra package wants another version of a package of the environment.
            UnresolvableError: no versions of the extras fit together, or one is nowhere.
        """
        path, manifest = self.base
        added = self._added(uv)
        if not added:
            return Plan(manifest.contents, _install_nothing, base=self.base)
        there = manifest.contents.packages
        lines = [*self.found.lines, *(f"{name}=={version}" for name, version in added.items() if version)]
        lock = resolve_requirements(
            uv, str(path / "bin" / "python"), replace(self.found, lines=lines), excluded=[*there]
        )
        contents = replace(manifest.contents, packages={**there, **lock.packages()})
        return Plan(contents, installer(uv, lock), lock.names <= self.found.pinned, self.base)

    def _is_imported(self, place: Path) -> bool:
        """Whether a directory is the project's, or its modules are found in any case."""
        known = {self.project.directory, self.project.root, *(one.directory for one in self.project.packages)}
        return place in known or {*LocalPackage.of(place).source_roots} <= {*self.project.source_roots}

    def _added(self, uv: Uv) -> dict[str, str]:
        """What uv would install into the environment while every package in it stays as it is."""
        path, manifest = self.base
        there = {name: package.version for name, package in manifest.contents.packages.items()}
        with tempfile.TemporaryDirectory(prefix="prefect-uv-extras-") as private:
            pins = [f"{name}=={version}" for name, version in there.items() if version]
            limits = (*lines_for(private, "constraints", "-c", pins), *uv.limits)
            files = [word for file in self.extras.files for word in ("-r", str(file))]
            files += lines_for(private, "requirements", "-r", self.extras.requirements)
            form = ("--dry-run", "--output-format", "json", "--python", path / "bin" / "python")
            told = uv.run("pip", "install", *form, *uv.index, *limits, *files, cwd=self.project.directory)
        if told.exit_code:
            raise self._explained(uv.explained(told), told, there)
        changes = {change["name"]: change.get("version", "") for change in json.loads(told.stdout)["changes"]}
        if changed := sorted(changes.keys() & there.keys()):
            raise _conflict(changed, changed, there, f"{', '.join(changed)} would be installed from another address.")
        return changes

    def _explained(self, error: PrefectUvError, told: CompletedCommand, there: Mapping[str, str]) -> PrefectUvError:
        """A conflict, when uv's report names a package of the environment as it is; otherwise what uv says."""
        if not isinstance(error, UnresolvableError | OfflineMissingError):
            return error
        words = {normalized(word) for word in _NAME.findall(told.stderr)}
        named = {name: rf"\b{re.escape(name)}=={re.escape(version)}(?![\w.])" for name, version in there.items()}
        fixed = [name for name, pattern in named.items() if re.search(pattern, told.stderr)]
        extras = sorted({item.name for item in self.found.requirements} & words)
        return _conflict(extras, fixed, there, error.found) if fixed else error


def _conflict(extras: Sequence[str], fixed: Sequence[str], there: Mapping[str, str], found: str) -> ExtrasConflictError:
    locked = ", ".join(f"{name} {there[name]}" for name in sorted(fixed))
    return ExtrasConflictError(
        f"{', '.join(extras)} cannot be added: the environment has {locked}.", found, CONFLICT_HINT
    )


def _install_nothing(_place: Path, _link_mode: str) -> None:
    """The environment itself has all that is wanted."""
