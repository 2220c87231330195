"""`prefect-uv import`: an environment from an image onto the cache volume, or to where baked environments are."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from prefect_uv.bake.bake_record import SELECTIONS
from prefect_uv.bake.image_layer import layer_directory, require_writable
from prefect_uv.cache_volume.full_disk import full_disk_as_error
from prefect_uv.environments import EnvironmentStore
from prefect_uv.environments.images.image_import import ImageImport
from prefect_uv.environments.published_environments import PublishedEnvironments
from prefect_uv.environments.writable_location import environments_at, links_as_error, reason_not_writable
from prefect_uv.errors import VolumeUnusableError
from prefect_uv.image_facts import Image
from prefect_uv.options.image_options import ImageOptions
from prefect_uv.read_only_root import with_writable_directories
from prefect_uv.registry.image_layout import image_store
from prefect_uv.registry.image_reference import ImageReference
from prefect_uv.session import Session


def import_environment(session: Session) -> int:
    """Import the environment of an image, and print its key.

    Raises:
        UsageError: the name is none.
        VolumeUnusableError: the cache volume, or the baked directory, is not writable.
        SyncError, VolumeFullError: nothing was imported.
    """
    options = session.options.image or ImageOptions()
    reference = ImageReference.of(options.reference)
    session.settings = with_writable_directories(session.settings, session.log, session.cleanup)
    place = _into_baked if options.baked else _onto_volume
    key = session.phase("import", place, session, reference)
    session.log.show(key)
    return 0


def _onto_volume(session: Session, reference: ImageReference) -> str:
    settings, log, facts = session.settings, session.log, Image.read()
    root = settings.cache_dir
    published = environments_at(root, settings, facts, read_only=settings.cache_readonly)
    with full_disk_as_error(root), links_as_error():
        if reason := reason_not_writable(published.cache):
            hint = f"Mount a volume at {root} that is writable, without noexec; or name one in PREFECT_UV_CACHE_DIR."
            raise VolumeUnusableError(f"Nothing can be imported: {root} {reason}.", hint=hint)
        work = ImageImport(image_store(reference, settings, log.mask), published, facts, settings, log)
    return EnvironmentStore(settings, log).with_room(partial(_perform, work))


def _perform(work: ImageImport) -> str:
    with full_disk_as_error(work.published.cache.root), links_as_error():
        return work.perform()


def _into_baked(session: Session, reference: ImageReference) -> str:
    settings, log = session.settings, session.log
    require_writable(settings.baked_dir)
    store = image_store(reference, settings, log.mask)
    with full_disk_as_error(settings.baked_dir), layer_directory(settings.baked_dir) as cache:
        published = PublishedEnvironments(replace(cache, read_only=False))
        return ImageImport(store, published, Image.read(), settings, log, (SELECTIONS,)).perform()
