"""`prefect-uv bake`: the environment of a project in an image's layer, for a user's Dockerfile."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from prefect_uv.bake.bake_options import BakeOptions
from prefect_uv.bake.bake_record import VERSION, Baking
from prefect_uv.cache_volume.cache_directory import CacheDirectory, shared_umask
from prefect_uv.cache_volume.lease import take_lease
from prefect_uv.environments import Environment, EnvironmentStore
from prefect_uv.environments.baked_environments import BakedEnvironments
from prefect_uv.environments.garbage.disk_usage import DiskUsage, gigabytes
from prefect_uv.environments.key.manifest import Manifest, described_environments
from prefect_uv.environments.plan import ExtraPackagesSource, source_of
from prefect_uv.errors import DependencyUnreachableError, EnvironmentDamagedError, VolumeUnusableError
from prefect_uv.image_facts import Image
from prefect_uv.log.run_log import RunLog
from prefect_uv.project import Project, find_extra_packages, find_project, log_project
from prefect_uv.project_code import baked_place, install_project
from prefect_uv.session import Session
from prefect_uv.settings import Settings


def bake(session: Session) -> int:
    """Put the environment for the project in the working directory into the image."""
    arguments = BakeOptions.parse(session.arguments, session.settings)
    settings = arguments.settings
    require_writable(settings.baked_dir)
    project = session.phase("look", find_copied_project, Path.cwd(), settings, session.log)
    with shared_umask(), baked_layer(settings, session.log) as inside:
        environment = session.phase("bake", environment_in_layer, project, settings, inside, session.log)
        baked = Baking.of(project, environment.key)
        baked.write(settings.baked_dir)
        session.log.info(f"baked environment {baked}: {gigabytes(_size(environment.path))}")
        if arguments.install_project:
            session.phase("install", code_in_layer, project, environment, inside, session.log)
        if arguments.version is not None:
            (settings.baked_dir / VERSION).write_text(arguments.version)
    return 0


def find_copied_project(directory: Path, settings: Settings, log: RunLog) -> Project:
    """The project whose files were copied into the image.

    Raises:
        DependencyUnreachableError: a directory that the lock names was not.
    """
    try:
        return log_project(log, find_project(directory, None, settings))
    except DependencyUnreachableError as error:
        error.hint = "COPY its pyproject.toml to its place as well; the sources are not needed."
        raise


@contextmanager
def baked_layer(settings: Settings, log: RunLog) -> Iterator[Settings]:
    """The settings to build below the baked directory, with bytecode; nothing else is left there of building.

    What is baked already is held in use, so that a full disk does not make it go.
    """
    directory = settings.baked_dir
    cache = CacheDirectory(directory, directory)
    cache.prepare()
    held = [take_lease(path, touch=False) for path, _ in described_environments(cache)]
    with _uv_cache(settings, log) as variables:
        environ = {**settings.environ, **variables, "UV_COMPILE_BYTECODE": "1"}
        yield replace(settings, cache_dir=directory, cache_readonly=False, environ=environ)
    for place in (cache.builds, cache.trash, cache.locks, cache.failures.parent):
        shutil.rmtree(place, ignore_errors=True)
    for descriptor in filter(None, held):
        os.close(descriptor)


def environment_in_layer(project: Project, settings: Settings, inside: Settings, log: RunLog) -> Environment:
    """The environment, built as on a volume, and found by the fingerprint that a start in the image has.

    Extra packages that the settings or a file name are baked as well, in an environment of their own.
    """
    store = EnvironmentStore(replace(inside, baked_dir=Path(os.devnull)), log)
    baked = BakedEnvironments.of(settings, store.image)
    environment = store.environment(project)
    manifest = _manifest(environment)
    baked.remember(source_of(project, settings), manifest)
    if wanted := find_extra_packages(Path.cwd(), project, settings):
        log.info(wanted.line)
        source = ExtraPackagesSource((environment.path, manifest), wanted, project, settings)
        environment = store.extend(environment, wanted, project)
        baked.remember(source, _manifest(environment))
    return environment


def code_in_layer(project: Project, environment: Environment, inside: Settings, log: RunLog) -> None:
    """The project's own code, built and installed, under the name that a start of the same code looks for.

    It is installed in its place: uv 0.13.8 writes the way from a console script to its Python as a relative path.
    """
    if not any(package.installable for package in project.packages):
        log.info("nothing to install: no package here has a build system")
        return
    place = baked_place(inside, project, environment)
    if not place.is_dir():
        place.mkdir(parents=True)
        try:
            install_project(inside, project, environment, place)
        except BaseException:
            shutil.rmtree(place)
            raise
    log.info(f"installed the code of {project.name}: {place.name[:12]}")


@contextmanager
def _uv_cache(settings: Settings, log: RunLog) -> Iterator[dict[str, str]]:
    """uv's variables for a cache that is in no layer: the mounted one, or one that goes."""
    mounted = settings.cache_dir
    if os.path.ismount(mounted) and os.access(mounted, os.W_OK):
        yield {"UV_CACHE_DIR": str(mounted / f"uv-{Image.read().uv_minor}"), "UV_LINK_MODE": "copy"}
        return
    if os.path.ismount(mounted):
        log.warning(f"{mounted} is mounted and not writable for uid {os.geteuid()}: not used (`uid=1000` makes it so)")
    with tempfile.TemporaryDirectory(prefix="uv-", dir=settings.baked_dir) as place:
        yield {"UV_CACHE_DIR": place}


def require_writable(directory: Path) -> None:
    """There must be a place to bake into.

    Raises:
        VolumeUnusableError: there is none.
    """
    if directory.is_dir() and os.access(directory, os.W_OK):
        return
    raise VolumeUnusableError(
        f"Nothing can be baked into {directory}: uid {os.geteuid()} cannot write there.",
        hint="Bake with the image's own user (`USER 1000:0`) or as root, into an image FROM ours.",
    )


def _manifest(environment: Environment) -> Manifest:
    manifest = Manifest.read(environment.path)
    if manifest is None:
        raise EnvironmentDamagedError(f"Environment {environment.key[:12]} vanished after it was built.")
    return manifest


def _size(path: Path) -> int:
    usage = DiskUsage()
    usage.add(path)
    return usage.total
