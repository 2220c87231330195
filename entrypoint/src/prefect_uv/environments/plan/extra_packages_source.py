"""Extra packages of one deployment: the project's environment, extended by some packages.

They are resolved against that environment, so that none of its packages changes, wherever it came from.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from prefect_uv.environments.key.fingerprint import Field, project_fields
from prefect_uv.environments.key.manifest import DescribedEnvironment
from prefect_uv.environments.plan.indexes.wheel_directory import list_wheels
from prefect_uv.environments.plan.resolution import installer, option_with_file, resolve_requirements
from prefect_uv.environments.plan.source import Plan
from prefect_uv.environments.uv.uv_command import Uv
from prefect_uv.errors import ExtraPackagesConflictError, OfflinePackageMissingError, PrefectUvError, UnresolvableError
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
    """Extra packages for an existing environment.

    Attributes:
        base: the environment, by its path and manifest.
        extra_packages: what to add.
        project: where uv's settings and relative paths are looked for.
        settings: the deployment's settings.
    """

    base: DescribedEnvironment
    extra_packages: ExtraPackages
    project: Project
    settings: Settings

    @cached_property
    def requirements(self) -> Requirements:
        """The extra packages' lines and files, parsed."""
        extra = self.extra_packages
        return Requirements.read(self.project.directory, extra.files, self.settings.environ, extra.requirements)

    @property
    def name(self) -> str:
        """The project's name and those of the extra packages."""
        names = sorted({item.name for item in self.requirements.requirements})
        return f"{self.project.name} + {', '.join(names) or 'nothing'}"

    def fields(self) -> list[Field]:
        """The key of the base, the project's files, the lines, and the contents of the files."""
        lines = self.extra_packages.requirements
        fields: list[Field] = ["additions", self.base[1].key, *project_fields(self.project)]
        fields += [str(len(lines)), *lines, *list_wheels(self.settings.wheels)]
        return [*fields, *(part for entry in self.requirements.inputs for part in entry)]

    def unpinned(self) -> list[str]:
        """The extra packages whose version neither they nor the environment decide."""
        present, requested = self.base[1].contents.packages, self.requirements.requirements
        return sorted({item.name for item in requested if not item.exact and item.name not in present})

    def check(self) -> None:
        """Refuse directories that no flow could import: environments hold no source code of the checkout.

        Raises:
            UnresolvableError: an extra package is such a directory.
        """
        for item in self.requirements.requirements:
            path = (self.project.directory / item.path).resolve()
            if item.path and path.is_dir() and not self._is_imported(path):
                raise UnresolvableError(
                    f"{item.version_or_address} cannot be an extra package: it is a directory.",
                    f"{path} is not part of the project, so no flow could import it.",
                    DIRECTORY_HINT,
                )

    def hashed_names(self) -> set[str]:
        """The extra packages for which a requirements file has hashes."""
        return {item.name for item in self.requirements.requirements if item.hashes}

    def plan(self, uv: Uv, _log: RunLog) -> Plan:
        """The base's contents and what has to be added; the base itself if it satisfies the extra packages.

        Raises:
            ExtraPackagesConflictError: an extra package needs another version of a package of the base.
            UnresolvableError: no versions of the extra packages fit together, or one does not exist.
        """
        path, manifest = self.base
        added = self._packages_to_add(uv)
        if not added:
            return Plan(manifest.contents, _install_nothing, base=self.base)
        present = manifest.contents.packages
        lines = [*self.requirements.lines, *(f"{name}=={version}" for name, version in added.items() if version)]
        requirements = replace(self.requirements, lines=lines)
        lock = resolve_requirements(uv, str(path / "bin" / "python"), requirements, excluded=[*present])
        contents = replace(manifest.contents, packages={**present, **lock.packages()})
        from prefect_uv.environments.plan.origins import resolved_origins  # noqa: PLC0415 (no warm start plans)

        origins = partial(resolved_origins, lock, self.hashed_names(), uv.settings.wheels)
        return Plan(contents, installer(uv, lock), lock.names <= self.requirements.pinned, self.base, origins)

    def _is_imported(self, directory: Path) -> bool:
        """Whether a directory is one of the project's, or on the import path anyway."""
        known = {self.project.directory, self.project.root, *(item.directory for item in self.project.local_packages)}
        return directory in known or {*LocalPackage.of(directory).source_roots} <= {*self.project.source_roots}

    def _packages_to_add(self, uv: Uv) -> dict[str, str]:
        """What uv would install into the base if every package in it is pinned: versions by name.

        uv 0.13.8: the JSON is experimental. https://docs.astral.sh/uv/reference/cli/#uv-pip-install--output-format
        """
        path, manifest = self.base
        present = {name: package.version for name, package in manifest.contents.packages.items()}
        with tempfile.TemporaryDirectory(prefix="prefect-uv-extras-") as private:
            pins = [f"{name}=={version}" for name, version in present.items() if version]
            limits = (*option_with_file(private, "constraints", "-c", pins), *uv.limit_options)
            files = [word for file in self.extra_packages.files for word in ("-r", str(file))]
            files += option_with_file(private, "requirements", "-r", self.extra_packages.requirements)
            form = ("--dry-run", "--output-format", "json", "--python", path / "bin" / "python")
            finished = uv.run("pip", "install", *form, *uv.index_options, *limits, *files, cwd=self.project.directory)
        if finished.exit_code:
            raise self._explain(uv.explain(finished), finished, present)
        changes = {change["name"]: change.get("version", "") for change in json.loads(finished.stdout)["changes"]}
        if changed := sorted(changes.keys() & present.keys()):
            found = f"{', '.join(changed)} would be installed from another address."
            raise _conflict_error(changed, changed, present, found)
        return changes

    def _explain(self, error: PrefectUvError, finished: CompletedCommand, present: Mapping[str, str]) -> PrefectUvError:
        """A conflict if uv's report names a package of the base with its version; otherwise the error as it is.

        uv 0.13.8: names `NAME==VERSION` (covered by test_conflict).
        https://github.com/astral-sh/uv/blob/0.13.8/crates/uv-resolver/src/pubgrub/report.rs
        """
        if not isinstance(error, UnresolvableError | OfflinePackageMissingError):
            return error
        words = {normalized(word) for word in _NAME.findall(finished.stderr)}
        pins = {name: rf"\b{re.escape(name)}=={re.escape(version)}(?![\w.])" for name, version in present.items()}
        fixed = [name for name, pattern in pins.items() if re.search(pattern, finished.stderr)]
        extras = sorted({item.name for item in self.requirements.requirements} & words)
        return _conflict_error(extras, fixed, present, error.found) if fixed else error


def _conflict_error(
    extras: Sequence[str], fixed: Sequence[str], present: Mapping[str, str], found: str
) -> ExtraPackagesConflictError:
    versions = ", ".join(f"{name} {present[name]}" for name in sorted(fixed))
    return ExtraPackagesConflictError(
        f"{', '.join(extras)} cannot be added: the environment has {versions}.", found, CONFLICT_HINT
    )


def _install_nothing(_environment: Path, _link_mode: str) -> None:
    """The base already has everything."""
