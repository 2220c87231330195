"""Writing an environment as an image: its layers, and what a registry does not have yet."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from prefect_uv.environments.images.image_root import ENVIRONMENT_PLACE
from prefect_uv.environments.images.layer_archive import WrittenLayer, write_layer
from prefect_uv.environments.images.layer_groups import LayerGroup, layer_groups
from prefect_uv.log.progress import logging_progress
from prefect_uv.log.run_log import RunLog
from prefect_uv.processes.signals import LOOK_SECONDS, raise_noted_signal
from prefect_uv.registry.image_documents import (
    OCI_CONFIG,
    Blob,
    ImageManifest,
    content_digest,
    encode_document,
    own_architecture,
)
from prefect_uv.registry.image_layout import ImageStore

KEY_ANNOTATION = "prefect-uv.key"
LAYER_ANNOTATION = "prefect-uv.layer"
CREATED = "1980-01-01T00:00:00Z"


class PushedImage(NamedTuple):
    """What was pushed.

    Attributes:
        digest: the digest of the image.
        layers: how many layers it has.
        size: their size in bytes.
        new_layers: how many of them the registry did not have.
        new_size: their size in bytes.
    """

    digest: str
    layers: int
    size: int
    new_layers: int
    new_size: int


def push_image(root: Path, key: str, store: ImageStore, directory: Path, log: RunLog) -> PushedImage:
    """Write an image's layers, and push those that are not there; the manifest comes last.

    Args:
        root: the root of the image.
        key: the key of its environment.
        store: where to push it.
        directory: for the layers, until they are pushed.
        log: gets a line for what takes long.

    Raises:
        SyncError: the registry does not take them.
    """
    groups = layer_groups(root, root / ENVIRONMENT_PLACE)
    with logging_progress(log, f"packing environment {key[:12]} into {len(groups)} layers"):
        written = _write_layers(root, groups, directory)
    pushed = []
    with logging_progress(log, f"pushing environment {key[:12]} to {store.reference.name}"):
        for number, layer in enumerate(written):
            path = directory / str(number)
            if not store.has_blob(layer.blob):
                store.push_blob(layer.blob, path)
                pushed.append(layer.blob.size)
                log.detail(f"pushed layer {groups[number].name}: {layer.blob.size / 1e6:.1f} MB")
            path.unlink()
        manifest = _image_manifest(key, groups, written, store, directory).encoded()
        digest = content_digest(manifest)
        store.push_manifest(manifest, digest)
    size = sum(layer.blob.size for layer in written)
    return PushedImage(digest, len(written), size, len(pushed), sum(pushed))


def _write_layers(root: Path, groups: Sequence[LayerGroup], directory: Path) -> list[WrittenLayer]:
    with _threads() as pool:
        pending = [
            pool.submit(write_layer, root, group.paths, directory / str(number)) for number, group in enumerate(groups)
        ]
        return [_written_layer(layer) for layer in pending]


@contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    """As many threads as processors, because compression does not hold Python's lock."""
    pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="Thread-layer")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _written_layer(layer: Future[WrittenLayer]) -> WrittenLayer:
    """Wait for a layer; a signal ends the wait as `raise_noted_signal` does."""
    while not layer.done():
        raise_noted_signal()
        wait([layer], LOOK_SECONDS)
    return layer.result()


def _image_manifest(
    key: str, groups: Sequence[LayerGroup], written: Sequence[WrittenLayer], store: ImageStore, directory: Path
) -> ImageManifest:
    """The image's manifest; its configuration is pushed."""
    history = [{"created": CREATED, "created_by": f"prefect-uv export: {group.name}"} for group in groups]
    document = {
        "created": CREATED,
        "architecture": own_architecture(),
        "os": "linux",
        "config": {"Labels": {KEY_ANNOTATION: key}},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in written]},
        "history": history,
    }
    path, data = directory / "config", encode_document(document)
    path.write_bytes(data)
    config = Blob.of(data, OCI_CONFIG)
    if not store.has_blob(config):
        store.push_blob(config, path)
    layers = (
        Blob(layer.blob.media_type, layer.blob.digest, layer.blob.size, {LAYER_ANNOTATION: group.name})
        for layer, group in zip(written, groups, strict=True)
    )
    return ImageManifest(config, tuple(layers), {KEY_ANNOTATION: key})
