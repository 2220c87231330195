"""`prefect-uv bake`: the environment of a project in a layer of the image, for a user's Dockerfile."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from prefect_uv.bake.bake_record import VERSION_FILE, BakedSelection
from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.cache_volume.lease import take_lease
from prefect_uv.cache_volume.shared_umask import shared_umask
from prefect_uv.environments import Environment, EnvironmentStore
from prefect_uv.environments.baked_environments import EVERY_UID, BakedEnvironments
from prefect_uv.environments.build.import_bundle import bundle_baked_imports
from prefect_uv.environments.garbage.disk_usage import DiskUsage, gigabytes
from prefect_uv.environments.key.manifest import Manifest, described_environments
from prefect_uv.environments.plan import ExtraPackagesSource, source_of
from prefect_uv.errors import EnvironmentDamagedError, LocalDependencyMissingError, UsageError, VolumeUnusableError
from prefect_uv.image_facts import Image
from prefect_uv.log.run_log import RunLog
from prefect_uv.project import Project, find_extra_packages, find_project, log_project
from prefect_uv.project_code import baked_code_directory, install_project
from prefect_uv.session import Session
from prefect_uv.settings import Settings


def bake(session: Session) -> int:
    """Put the environment for the project in the working directory into the image.

    Raises:
        UsageError: the image's version is empty.
    """
    settings, log, version = session.settings, session.log, session.options.version
    if version is not None and not version.strip():
        hint = "Pass one, as in `docker build --build-arg VERSION=1.2.3 .`, or leave the option out."
        raise UsageError("`prefect-uv bake`: the version is empty.", hint=hint)
    require_writable(settings.baked_dir)
    project = session.phase("look", find_copied_project, Path.cwd(), settings, log)
    with shared_umask(), baked_layer(settings, log) as layer_settings:
        environment = session.phase("bake", environment_in_layer, project, settings, layer_settings, log)
        baked = BakedSelection.of(project, environment.key)
        baked.write(settings.baked_dir)
        log.info(f"baked environment {baked}: {gigabytes(_size(environment.path))}")
        if settings.install_project:
            session.phase("install", install_code_in_layer, project, environment, layer_settings, log)
        if version is not None:
            (settings.baked_dir / VERSION_FILE).write_text(version)
    return 0


def find_copied_project(directory: Path, settings: Settings, log: RunLog) -> Project:
    """The project whose files were copied into the image.

    Raises:
        LocalDependencyMissingError: a directory that the lockfile names was not copied.
    """
    try:
        project = find_project(directory, None, settings)
    except LocalDependencyMissingError as error:
        error.hint = "COPY its pyproject.toml to that path as well; the sources are not needed."
        raise
    return log_project(log, project, find_extra_packages(directory, project, settings).files)


@contextmanager
def baked_layer(settings: Settings, log: RunLog) -> Iterator[Settings]:
    """The settings to build below the baked directory, with bytecode; what only the build needed is removed.

    Leases on what is already baked keep it from being garbage-collected when the disk is full.

    Bytecode does not record when its source was written: two builds of a layer are the same, and a build that sets
    the times of files (BuildKit's `rewrite-timestamp`) does not make it useless.

    uv 0.13.8: bytecode and cache mounts as in https://docs.astral.sh/uv/guides/integration/docker/#caching
    """
    baked_dir = settings.baked_dir
    cache = CacheDirectory(baked_dir, EVERY_UID, baked_dir)
    cache.prepare()
    leases = [take_lease(path, touch=False) for path, _ in described_environments(cache)]
    with _uv_cache(settings, log) as variables:
        compiling = {"UV_COMPILE_BYTECODE": "1", "PYC_INVALIDATION_MODE": "UNCHECKED_HASH"}
        environ = {**settings.environ, **variables, **compiling}
        yield replace(settings, cache_dir=baked_dir, cache_readonly=False, environ=environ)
    for directory in (cache.builds, cache.trash, cache.locks, cache.failures.parent):
        cache.delete(directory)
    for descriptor in filter(None, leases):
        os.close(descriptor)


def environment_in_layer(project: Project, settings: Settings, layer_settings: Settings, log: RunLog) -> Environment:
    """The environment, built as on a volume and indexed by the fingerprint that a start in the image computes.

    Extra packages that the settings or a file name are baked too, as a second environment, which is returned then.
    """
    store = EnvironmentStore(replace(layer_settings, baked_dir=Path(os.devnull)), log)
    layer = store.volume.cache
    baked = BakedEnvironments.of(settings, store.image)
    environment = store.environment(project)
    manifest = _undated_manifest(environment)
    baked.remember(source_of(project, settings), manifest)
    if extra_packages := find_extra_packages(Path.cwd(), project, settings):
        log.info(extra_packages.summary)
        source = ExtraPackagesSource((environment.path, manifest), extra_packages, project, settings)
        environment = store.extend(environment, extra_packages, project)
        baked.remember(source, _undated_manifest(environment))
    if settings.import_bundle:
        bundle_baked_imports(environment.path, layer, settings.environ)
    return environment


def install_code_in_layer(project: Project, environment: Environment, layer_settings: Settings, log: RunLog) -> None:
    """Build the project's own code, and install it under the name that a start with the same code looks for.

    It is installed where it stays, because console scripts find their Python by a path relative to their directory.
    uv 0.13.8: get_relocatable_executable, https://github.com/astral-sh/uv/blob/0.13.8/crates/uv-install-wheel/src/wheel.rs
    """
    if not any(package.installable for package in project.local_packages):
        log.info("nothing to install: no package here has a build system")
        return
    directory = baked_code_directory(layer_settings.baked_dir, project, environment)
    if not directory.is_dir():
        directory.mkdir(parents=True)
        try:
            install_project(layer_settings, log, project, environment, directory)
        except BaseException:
            shutil.rmtree(directory)
            raise
    log.info(f"installed the code of {project.name}: {directory.name[:12]}")


@contextmanager
def _uv_cache(settings: Settings, log: RunLog) -> Iterator[dict[str, str]]:
    """uv's variables for a cache outside the layer: on the cache mount, or in a directory that is removed."""
    mount = settings.cache_dir
    if os.path.ismount(mount) and os.access(mount, os.W_OK):
        yield {"UV_CACHE_DIR": str(mount / f"uv-{Image.read().uv_minor}"), "UV_LINK_MODE": "copy"}
        return
    if os.path.ismount(mount):
        uid = os.geteuid()
        log.warning(f"{mount} is mounted but not writable for uid {uid}: not used (`uid={uid}` makes it writable)")
    with tempfile.TemporaryDirectory(prefix="uv-", dir=settings.baked_dir) as directory:
        yield {"UV_CACHE_DIR": directory}


def require_writable(directory: Path) -> None:
    """Check that the directory to bake into exists and is writable.

    Raises:
        VolumeUnusableError: it does not, or is not.
    """
    if directory.is_dir() and os.access(directory, os.W_OK):
        return
    raise VolumeUnusableError(
        f"Nothing can be baked into {directory}: uid {os.geteuid()} cannot write there.",
        hint="Bake as the image's own user (`USER 1000:0`) or as root, in an image built FROM ours.",
    )


def _undated_manifest(environment: Environment) -> Manifest:
    """The environment's manifest, now without the time of the build: two builds of a layer are the same."""
    manifest = Manifest.read(environment.path)
    if manifest is None:
        raise EnvironmentDamagedError(f"Environment {environment.key[:12]} vanished after it was built.")
    if manifest.created:
        manifest = replace(manifest, created=0.0)
        manifest.write(environment.path)
    return manifest


def _size(path: Path) -> int:
    usage = DiskUsage()
    usage.add(path)
    return usage.total
