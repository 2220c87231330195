"""`prefect-uv export`: an environment as an image, pushed to a registry without an engine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from prefect_uv.bake.bake_record import BakedSelection, baked_selections
from prefect_uv.bake.image_layer import find_copied_project
from prefect_uv.cache_volume.full_disk import full_disk_as_error
from prefect_uv.cache_volume.shared_umask import shared_umask
from prefect_uv.environments import Environment, EnvironmentStore
from prefect_uv.environments.baked_environments import BakedEnvironments
from prefect_uv.environments.build.builder import build_directory
from prefect_uv.environments.images.image_export import PushedImage, push_image
from prefect_uv.environments.images.image_root import entries_for, stage_environment, stage_index
from prefect_uv.environments.key.fingerprint_index import IndexEntry
from prefect_uv.environments.key.manifest import Manifest, described_environments
from prefect_uv.environments.plan import source_of
from prefect_uv.environments.published_environments import disappeared_error
from prefect_uv.errors import EnvironmentUnknownError, UsageError
from prefect_uv.options.image_options import ImageOptions
from prefect_uv.project import Project, find_extra_packages
from prefect_uv.read_only_root import with_writable_directories
from prefect_uv.registry.image_layout import image_store
from prefect_uv.registry.image_reference import ImageReference
from prefect_uv.session import Session
from prefect_uv.settings import Settings

KEY_FORM = re.compile(r"[0-9a-f]{6,64}")
HOW_TO_FIND = "`prefect-uv cache list` lists the keys on the volume, `prefect-uv doctor` those in the image."


@dataclass(frozen=True)
class ExportedEnvironment:
    """An environment that is exported, in use, with what is written next to it.

    Attributes:
        environment: the environment.
        manifest: its description.
        entries: the entries of its index, by fingerprint.
        selections: how its packages were selected; without the key, it is one for each project.
    """

    environment: Environment
    manifest: Manifest
    entries: Mapping[str, IndexEntry]
    selections: tuple[BakedSelection, ...]


def export(session: Session) -> int:
    """Write an environment as an image, and print the image's name with its digest.

    Raises:
        UsageError: the name is none, or one with a digest; or the project has extra packages.
        EnvironmentUnknownError: no environment has this key.
        SyncError: the environment could not be built, or the registry does not take the image.
    """
    options = session.options.image or ImageOptions()
    reference = ImageReference.of(options.reference)
    if reference.digest:
        hint = "An export prints the digest. Name a tag, or nothing behind the name."
        raise UsageError(f"`prefect-uv export`: {reference} has a digest already.", hint=hint)
    settings = with_writable_directories(session.settings, session.log, session.cleanup)
    session.settings = replace(settings, baked="build")
    store = EnvironmentStore(session.settings, session.log)
    find = _by_key if options.key else _by_project
    found = session.phase("sync", find, session, store)
    _require_python_of_image(found.manifest, session.settings)
    with full_disk_as_error(session.settings.cache_dir):
        pushed = session.phase("export", _push, session, store, found, reference)
    image = f"{reference.name}@{pushed.digest}"
    session.log.info(
        f"exported environment {found.manifest.key[:12]} with {len(found.manifest.contents.packages)} packages:"
        f" {pushed.size / 1e6:.1f} MB in {pushed.layers} layers,"
        f" of which {pushed.new_layers} with {pushed.new_size / 1e6:.1f} MB were pushed"
    )
    session.log.show(image)
    return 0


def _require_python_of_image(manifest: Manifest, settings: Settings) -> None:
    """Check that the environment's Python is where every container of this image has it.

    Raises:
        UsageError: uv has installed it next to the environments.
    """
    python = Path(manifest.contents.python)
    if any(python.is_relative_to(directory) for directory in (settings.cache_dir, settings.baked_dir)):
        raise UsageError(
            f"`prefect-uv export`: the environment's Python {manifest.contents.python_version} is not in this image.",
            f"uv has installed it at {python}, where a container that mounts the environment does not have it.",
            "Export with an image that has this Python, such as `prefect-uv:py312`.",
        )


def _by_project(session: Session, store: EnvironmentStore) -> ExportedEnvironment:
    """The environment of the project in the working directory, found or built, as `prefect-uv bake` does."""
    settings = session.settings
    project = find_copied_project(Path.cwd(), settings, session.log)
    if find_extra_packages(Path.cwd(), project, settings):
        raise UsageError(
            "`prefect-uv export`: the project has extra packages.",
            "An image has one environment, and a start with extra packages needs two.",
            "Put them into a group of the project, or bake: `prefect-uv bake` puts both into an image.",
        )
    environment = store.environment(project)
    manifest = _manifest(environment)
    entries = dict([_entry(store, project, manifest)])
    named = replace(manifest, created=0.0, project=source_of(project, settings).name)
    return ExportedEnvironment(environment, named, entries, (BakedSelection.of(project, environment.key),))


def _by_key(session: Session, store: EnvironmentStore) -> ExportedEnvironment:
    """The environment in the image or on the volume whose key begins like this, with all that is known of it."""
    key = (session.options.image or ImageOptions()).key
    if not KEY_FORM.fullmatch(key):
        raise UsageError(f"`prefect-uv export`: {key!r} is not the beginning of a key.", hint=HOW_TO_FIND)
    locations = (store.baked.published, store.volume)
    described = [(manifest.key, one) for one in locations for _, manifest in described_environments(one.cache)]
    found = {full: one for full, one in reversed(described) if full.startswith(key)}
    if len(found) != 1:
        several = f"Several environments have keys that begin with {key}."
        headline = several if found else f"No environment has a key that begins with {key}."
        raise EnvironmentUnknownError(headline, "\n".join(sorted(found)), HOW_TO_FIND)
    ((full, published),) = found.items()
    environment = published.open(full, hit=True)
    if environment is None:
        raise disappeared_error(full)
    entries = {
        inputs: replace(entry, resolved=0.0) for inputs, entry in entries_for(published.cache.index, environment.key)
    }
    selections = tuple(one for one in baked_selections(session.settings.baked_dir) if one.key == environment.key)
    return ExportedEnvironment(environment, replace(_manifest(environment), created=0.0), entries, selections)


def _push(
    session: Session, store: EnvironmentStore, found: ExportedEnvironment, reference: ImageReference
) -> PushedImage:
    cache, log = store.writable().cache, session.log
    target = image_store(reference, session.settings, log.mask, "pull,push")
    cache.prepare()
    with shared_umask(), build_directory(cache, found.manifest.key) as directory:
        root = directory / "root"
        stage_environment(found.environment.path, found.manifest, root, session.settings.environ)
        stage_index(found.entries, root)
        for selection in found.selections:
            selection.write(root)
        return push_image(root, found.manifest.key, target, directory, log)


def _manifest(environment: Environment) -> Manifest:
    manifest = Manifest.read(environment.path)
    if manifest is None:
        raise disappeared_error(environment.key)
    return manifest


def _entry(store: EnvironmentStore, project: Project, manifest: Manifest) -> tuple[str, IndexEntry]:
    """The fingerprint that a start computes, and the entry for it."""
    source = source_of(project, store.settings)
    entry = IndexEntry.of(manifest.key, source.name, manifest.contents.python)
    return BakedEnvironments.of(store.settings, store.image).fingerprint_of(source), entry
