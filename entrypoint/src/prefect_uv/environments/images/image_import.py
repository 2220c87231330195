"""Taking an environment out of an image: into a build directory, checked like a build, and published by its rename."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from prefect_uv.cache_volume.cache_directory import IN_USE, KEY_NAME, RUN_CACHE
from prefect_uv.cache_volume.shared_umask import shared_umask
from prefect_uv.cache_volume.work_lock import holding_work_lock
from prefect_uv.environments.build.builder import build_directory
from prefect_uv.environments.build.verification import list_findings, mismatches
from prefect_uv.environments.images.image_export import KEY_ANNOTATION, LAYER_ANNOTATION
from prefect_uv.environments.images.image_root import ENVIRONMENT_PLACE, INDEX_PLACE, entries_for
from prefect_uv.environments.images.layer_archive import Unpacking
from prefect_uv.environments.images.layer_groups import LAST_LAYER
from prefect_uv.environments.key import fingerprint_index
from prefect_uv.environments.key.environment_contents import Contents
from prefect_uv.environments.key.fingerprint_index import IndexEntry
from prefect_uv.environments.key.manifest import Manifest
from prefect_uv.environments.published_environments import PublishedEnvironments
from prefect_uv.errors import ImageInvalidError
from prefect_uv.image_facts import Image
from prefect_uv.log.progress import logging_progress
from prefect_uv.log.run_log import RunLog
from prefect_uv.processes.subprocesses import run_command
from prefect_uv.registry.image_documents import GZIPPED_LAYERS, Blob, read_manifest
from prefect_uv.registry.image_layout import ImageStore
from prefect_uv.settings import Settings
from prefect_uv.settings.tool_variables import variables_for_builds

IMAGE_ROOT = "root"


@dataclass(frozen=True)
class ImageImport:
    """An import into one cache directory.

    Attributes:
        store: where the image is.
        published: the environments of the cache directory.
        facts: the image that we run in.
        settings: the settings.
        log: the log.
        also: directories of the image's root that are copied too, such as the selections of a baked directory.
    """

    store: ImageStore
    published: PublishedEnvironments
    facts: Image
    settings: Settings
    log: RunLog
    also: tuple[Path, ...] = ()

    def perform(self) -> str:
        """Import the environment, unless it is there, and what finds it; returns its key.

        Raises:
            ImageNotFoundError, ImageInvalidError: there is no such image, or it is not what it says; nothing of it is
                used.
            RegistryUnreachableError, RegistryUnauthorizedError, RegistryRefusedError: it could not be read.
            VolumeFullError, DiskFullError: there is no room for it.
        """
        reference, cache = self.store.reference, self.published.cache
        digest, manifest = read_manifest(self.store.manifest, reference.digest, str(reference))
        key = manifest.annotations.get(KEY_ANNOTATION, "")
        foreign = [layer for layer in manifest.layers if layer.media_type not in GZIPPED_LAYERS]
        if not KEY_NAME.fullmatch(key) or not manifest.layers or foreign:
            raise self._invalid("`prefect-uv export` did not write it")
        cache.prepare()
        with holding_work_lock(cache.locks / key, lambda: self._has(key), self.log.info), shared_umask():
            there = self._has(key)
            described = manifest.layers[-1].annotations.get(LAYER_ANNOTATION) == LAST_LAYER
            layers = manifest.layers[-1:] if there and described else manifest.layers
            with logging_progress(self.log, f"importing environment {key[:12]}"), build_directory(cache, key) as build:
                self._unpack(layers, build)
                contents = self._checked(build / IMAGE_ROOT, key)
                if not there:
                    self._publish(build / IMAGE_ROOT / ENVIRONMENT_PLACE, key, contents)
                self._copy_rest(build / IMAGE_ROOT, key)
        size = sum(layer.size for layer in layers)
        doing = "is there already" if there else f"comes from {reference.name}@{digest}"
        self.log.info(f"environment {key[:12]} {doing}: {size / 1e6:.1f} MB in {len(layers)} layer(s) were read")
        return key

    def _has(self, key: str) -> bool:
        """Whether the environment is there, complete and trusted."""
        found = PublishedEnvironments(replace(self.published.cache, read_only=True)).open(key, hit=True)
        if found:
            os.close(found.lease)
        return found is not None

    def _unpack(self, layers: Sequence[Blob], build: Path) -> None:
        root, archive = build / IMAGE_ROOT, build / "layer"
        root.mkdir()
        unpacking = Unpacking(root, str(self.store.reference))
        for layer in layers:
            self.store.fetch_blob(layer, archive)
            unpacking.unpack(archive)
            archive.unlink()

    def _checked(self, root: Path, key: str) -> Contents:
        """What the environment is made of, if it is the one that the image names, and made for this image of ours."""
        manifest = Manifest.read(root / ENVIRONMENT_PLACE)
        if manifest is None or not manifest.key == manifest.contents.key == key:
            raise self._invalid("it contains another environment than it says")
        found, facts = manifest.contents, self.facts
        here = [("uv", facts.uv_minor), ("Python", facts.python_version), ("platform", facts.platform)]
        made_for = [("uv", found.uv), ("Python", found.python_version), ("platform", found.platform)]
        if found.python != facts.python:
            here, made_for = here[:1], made_for[:1]
        if here != made_for or not Path(found.python).exists():
            raise ImageInvalidError(
                f"{self.store.reference} has an environment for another image than this one.",
                f"made for: {_joined_facts(made_for)}, {found.python}\nhere:     {_joined_facts(here)}, {facts.python}",
                "Export and import with the same image of prefect-uv that runs the flow.",
            )
        return found

    def _publish(self, environment: Path, key: str, contents: Contents) -> None:
        if damage := list_findings(mismatches(environment, contents)):
            raise self._invalid("its files are not those of its packages", damage)
        (environment / IN_USE).touch(0o664)
        (environment / RUN_CACHE).mkdir()
        run_command(["sync", "-f", environment], env=dict(variables_for_builds(self.settings.environ)))
        self.published.publish(environment, key, self.log)

    def _copy_rest(self, root: Path, key: str) -> None:
        """Write the index entries, with the stamp that the interpreter has here, and copy what else is wanted."""
        cache = self.published.cache
        for inputs, entry in entries_for(root / INDEX_PLACE, key):
            here = IndexEntry.of(key, entry.project, entry.python, entry.resolved)
            fingerprint_index.write_entry(cache, inputs, here)
        for directory in self.also:
            for path in sorted((root / directory).glob("*.json")):
                cache.make_directory(cache.root / directory)
                cache.write(cache.root / directory / path.name, path.read_text())

    def _invalid(self, reason: str, found: str = "") -> ImageInvalidError:
        return ImageInvalidError(f"{self.store.reference} is not used: {reason}.", found)


def _joined_facts(facts: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts)
