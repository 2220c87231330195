"""The root of an environment's image: what is mounted, or copied, to where `prefect-uv bake` writes.

environment/                 the environment with its bytecode, under no key, so that images share layers
envs/v1/<key>                a link to it
index/v1/<fingerprint>       its key, as in any cache directory
selections/v1/<digest>.json  the selection of groups and extras, as `bake` records it
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from prefect_uv.cache_volume.cache_directory import IN_USE, KEY_NAME, LAYOUT, CacheDirectory
from prefect_uv.environments.baked_environments import EVERY_UID
from prefect_uv.environments.build.hard_links import clone_environment
from prefect_uv.environments.images.fixed_bytecode import compile_anew
from prefect_uv.environments.key import fingerprint_index
from prefect_uv.environments.key.fingerprint_index import IndexEntry
from prefect_uv.environments.key.manifest import Manifest
from prefect_uv.settings import Settings

ENVIRONMENT_PLACE = "environment"
INDEX_PLACE = Path("index", LAYOUT)


def stage_environment(source: Path, manifest: Manifest, root: Path, environ: Mapping[str, str]) -> None:
    """Link an environment to its place below the root of an image, with bytecode of its own.

    Args:
        source: the environment, which is in use.
        manifest: its description, the same for equal environments.
        root: the root; must not exist.
        environ: the variables for the environment's Python.

    Raises:
        SyncError: its bytecode could not be compiled.
    """
    root.mkdir()
    environment, link = root / ENVIRONMENT_PLACE, root / "envs" / LAYOUT / manifest.key
    clone_environment(source, environment)
    compile_anew(environment, Settings.baked_dir / ENVIRONMENT_PLACE, environ)
    manifest.write(environment)
    (environment / IN_USE).touch()
    link.parent.mkdir(parents=True)
    link.symlink_to(Path("..", "..", ENVIRONMENT_PLACE))


def stage_index(entries: Mapping[str, IndexEntry], root: Path) -> None:
    """Write the entries of an index, by fingerprint, below the root of an image."""
    cache = CacheDirectory(root, EVERY_UID, root)
    for directory in (cache.index, cache.builds):
        directory.mkdir(parents=True, exist_ok=True)
    for inputs, entry in entries.items():
        fingerprint_index.write_entry(cache, inputs, entry)
    shutil.rmtree(cache.builds)


def entries_for(index: Path, key: str) -> Iterator[tuple[str, IndexEntry]]:
    """The entries of an index that name an environment, by fingerprint."""
    for path in sorted(index.iterdir()) if index.is_dir() else ():
        entry = fingerprint_index.read_entry(path) if KEY_NAME.fullmatch(path.name) else None
        if entry and entry.key == key:
            yield path.name, entry
