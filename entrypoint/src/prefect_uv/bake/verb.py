"""`prefect-uv bake`: the environment of a project in an image's layer, for a user's Dockerfile."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from prefect_uv.bake.arguments import Arguments
from prefect_uv.bake.record import VERSION, Baking
from prefect_uv.errors import EnvironmentDamagedError, VolumeUnusableError
from prefect_uv.image import Image
from prefect_uv.project import Project, look
from prefect_uv.runlog import RunLog
from prefect_uv.session import Session
from prefect_uv.settings import Settings
from prefect_uv.store import Environment, Store
from prefect_uv.store.gc import gigabytes
from prefect_uv.store.layout import Area
from prefect_uv.store.manifest import Manifest
from prefect_uv.store.sources import source_of
from prefect_uv.store.usage import Usage


def bake(session: Session) -> int:
    """Put the environment for the project in the working directory into the image."""
    arguments = Arguments.parse(session.arguments, session.settings)
    directory = session.settings.baked_dir
    _require_writable(directory)
    project = session.phase("look", look, Path.cwd(), None, arguments.settings)
    environment = session.phase("bake", environment_in_layer, project, arguments.settings, session.log)
    baked = Baking.of(project, environment.key)
    baked.write(directory)
    if arguments.version is not None:
        (directory / VERSION).write_text(arguments.version)
    session.log.info(f"baked environment {baked}: {gigabytes(_size(environment.path))}")
    return 0


def environment_in_layer(project: Project, settings: Settings, log: RunLog) -> Environment:
    """The environment below the baked directory, with its bytecode, and nothing else left of making it."""
    directory = settings.baked_dir
    area = Area(directory, directory)
    with _uv_cache(settings, log) as variables:
        environ = {**variables, **settings.environ, "UV_COMPILE_BYTECODE": "1"}
        here = replace(settings, cache_dir=directory, cache_readonly=False, baked_dir=Path(os.devnull), environ=environ)
        environment = Store(here, log).environment(project)
    manifest = Manifest.read(environment.path)
    if manifest is None:
        raise EnvironmentDamagedError(f"Environment {environment.key[:12]} vanished after it was built.")
    area.prepare()
    Store(settings, log).baked.remember(source_of(project, settings), manifest)
    for place in (area.builds, area.trash, area.locks, area.failures.parent):
        shutil.rmtree(place, ignore_errors=True)
    return environment


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


def _require_writable(directory: Path) -> None:
    if directory.is_dir() and os.access(directory, os.W_OK):
        return
    raise VolumeUnusableError(
        f"Nothing can be baked into {directory}: uid {os.geteuid()} cannot write there.",
        hint="Bake with the image's own user (`USER 1000:0`) or as root, into an image FROM ours.",
    )


def _size(path: Path) -> int:
    usage = Usage()
    usage.add(path)
    return usage.total
