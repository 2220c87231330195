"""What the environment store would do for a source: the same look-ups and uv's plan, but nothing is built or kept."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from prefect_uv.environments.environment_store import BAKED, KNOWN_INPUTS, SAME_PACKAGES, UNPACKED, EnvironmentStore
from prefect_uv.environments.key import fingerprint_index
from prefect_uv.environments.key.environment_contents import Contents
from prefect_uv.environments.key.fingerprint import fingerprint
from prefect_uv.environments.key.manifest import Manifest, described_environments, explain_miss, nearest_environment
from prefect_uv.environments.plan import ExtraPackagesSource, Source, source_of
from prefect_uv.environments.plan.interpreter import NO_DOWNLOADS
from prefect_uv.environments.plan.locked_source import LockedSource
from prefect_uv.environments.plan.malware_check import is_checked_each_time
from prefect_uv.environments.published_environments import Environment
from prefect_uv.environments.uv.uv_command import Uv
from prefect_uv.errors import PythonMissingError
from prefect_uv.git_access.clone import Clone
from prefect_uv.log.run_log import RunLog
from prefect_uv.project import ExtraPackages, Project
from prefect_uv.settings import Settings

RELOCKED = "PREFECT_UV_LOCK=relock: what is to be installed is known only when uv has locked the project again"
EXTRA_UNKNOWN = "its extra packages are resolved when that environment is there"


@dataclass(frozen=True)
class Preview:
    """The environment that a start would have.

    Attributes:
        key: its key; empty if only the start itself will know it.
        hit: whether it is there.
        why: why it would be found or built.
        contents: what it is made of; None if the key is unknown.
        path: where it is; None if it is not there.
    """

    key: str
    hit: bool
    why: str
    contents: Contents | None = None
    path: Path | None = None


class EnvironmentPreview:
    """Looks ahead on a volume that it only reads."""

    def __init__(self, settings: Settings, log: RunLog, clone: Clone | None = None) -> None:
        """Open the store; the arguments are those of `EnvironmentStore`."""
        self._downloads = settings.environ.get("UV_PYTHON_DOWNLOADS", "") not in NO_DOWNLOADS and not settings.offline
        environ = {**settings.environ, "UV_PYTHON_DOWNLOADS": "never"}
        self._settings = replace(settings, cache_readonly=True, archive_readonly=True, environ=environ)
        self._store = EnvironmentStore(self._settings, log, clone)
        self._log = log

    def of(self, project: Project, extra_packages: ExtraPackages, *, disposable: bool) -> Preview:
        """The environment of a project with its extra packages.

        Args:
            project: the project.
            extra_packages: what is to be added to it.
            disposable: the project's files may be changed, because they are a clone that nobody else sees.

        Raises:
            PrefectUvError: what would stop the start.
        """
        base = self._of_source(source_of(project, self._settings), disposable=disposable)
        if not extra_packages:
            return base
        manifest = Manifest.read(base.path) if base.path else None
        if base.path is None or manifest is None:
            return Preview("", hit=False, why=f"{base.why}; {EXTRA_UNKNOWN}")
        source = ExtraPackagesSource((base.path, manifest), extra_packages, project, self._settings)
        source.check()
        return self._of_source(source, disposable=disposable)

    def _of_source(self, source: Source, *, disposable: bool) -> Preview:
        checked = is_checked_each_time(source, self._settings.environ)
        if not checked and (environment := self._store.baked.look_up(source)):
            return _found(environment, BAKED)
        directory = source.project.directory
        inputs = fingerprint(source.fields(), self._store.image, self._settings.environ, directory)
        entry = fingerprint_index.look_up_entry(self._store.volume.cache, inputs)
        stale = entry is not None and not self._settings.offline and entry.is_stale(self._settings.resolve_days)
        if entry and not stale and not checked and (environment := self._open(entry.key, source)):
            return _found(environment, KNOWN_INPUTS)
        archives = self._store.archives
        archived = archives.look_up(inputs) if archives else None
        if archives and archived and archives.has(archived.key):
            return Preview(archived.key, hit=True, why=UNPACKED)
        if isinstance(source, LockedSource) and source.policy == "relock" and not disposable:
            return Preview("", hit=False, why=RELOCKED)
        return self._of_plan(source)

    def _of_plan(self, source: Source) -> Preview:
        """Ask uv, with a cache that is thrown away; without a network, only the volume's has anything."""
        with tempfile.TemporaryDirectory(prefix="prefect-uv-preview-", ignore_cleanup_errors=True) as private:
            volume = self._store.volume.cache
            cache = volume if self._settings.offline else replace(volume, uv_cache=Path(private))
            configuration = source.project.uv_configuration
            uv = Uv(self._settings, self._store.image, cache, self._log, configuration, self._store.clone)
            try:
                contents = source.plan(uv, self._log).contents
            except PythonMissingError as error:
                if not self._downloads:
                    raise
                return Preview("", hit=False, why=f"{error.headline} uv would try to download it.")
        if environment := self._open(contents.key, source):
            return _found(environment, SAME_PACKAGES)
        self._store.baked.report_mismatch(contents, source.name, "a start would build one", self._log)
        candidates = [item for item in described_environments(volume) if volume.trusts(item[0])]
        nearest = nearest_environment(candidates, contents, source.name)
        why = explain_miss(contents, source.name, nearest)
        return Preview(contents.key, hit=False, why=why, contents=contents)

    def _open(self, key: str, source: Source) -> Environment | None:
        """Open an environment: from the image, else from the volume, unless only baked ones may be used.

        Raises:
            BakedMismatchError: PREFECT_UV_BAKED=refuse, and this one is not baked.
        """
        if environment := self._store.baked.published.open(key, hit=True):
            return environment
        environment = self._store.volume.open(key, hit=True)
        manifest = Manifest.read(environment.path) if environment else None
        if manifest:
            instead = f"a start would use environment {key[:12]} from the volume"
            self._store.baked.report_mismatch(manifest.contents, source.name, instead, self._log)
        return environment


def _found(environment: Environment, why: str) -> Preview:
    os.close(environment.lease)
    manifest = Manifest.read(environment.path)
    contents = manifest.contents if manifest else None
    return Preview(environment.key, hit=True, why=why, contents=contents, path=environment.path)
