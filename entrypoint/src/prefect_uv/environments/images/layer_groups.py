"""Which files of an environment share a layer: a rule that looks at one package at a time.

A package has a layer of its own if it is large; the small ones share a few layers, each chosen by a hash of its name.
So a change of one package changes one layer, and the packages that two environments have in common are in the same
layers in both, unless a small one has another in its layer that differs.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.cache_volume.cache_directory import IN_USE
from prefect_uv.environments.build.hard_links import files_below
from prefect_uv.environments.build.verification import distributions, read_record
from prefect_uv.environments.key.manifest import MANIFEST

LARGE_BYTES = 4_000_000
SMALL_LAYERS = 12
MOST_LARGE = 80
"""Engines mount at most 127 layers, and some 125: https://github.com/moby/moby/blob/v28.0.0/layer/layer.go"""
FOUNDATION = "environment"
LAST_LAYER = "description"
SMALL = "packages "


@dataclass(frozen=True)
class LayerGroup:
    """The files of one layer.

    Attributes:
        name: what the layer is called: `environment`, `packages 7`, the name of a package, or `description`.
        paths: the files, relative to the root of the image.
    """

    name: str
    paths: tuple[str, ...]


def layer_groups(root: Path, environment: Path) -> list[LayerGroup]:
    """The layers of an image, from what changes least to the description of the environment, which is always the last.

    Args:
        root: the root of the image.
        environment: the environment, below the root.
    """
    owners, inside = _packages_of_files(environment), f"{environment}/"
    own = {f"{inside}{MANIFEST}", f"{inside}{IN_USE}"}
    described: list[str] = []
    files: dict[str, list[str]] = defaultdict(list)
    sizes: dict[str, int] = defaultdict(int)
    for entry in files_below(str(root)):
        if entry.path in own or not entry.path.startswith(inside):
            described.append(entry.path)
            continue
        owner = owners.get(_compiled_from(entry.path), "")
        files[owner].append(entry.path)
        sizes[owner] += entry.stat(follow_symlinks=False).st_size
    groups: dict[str, list[str]] = defaultdict(list)
    large = _large_packages(sizes)
    for owner, paths in files.items():
        groups[_group_name(owner, large)] += paths
    names = sorted(groups, key=lambda name: (name != FOUNDATION, not name.startswith(SMALL), name))
    return [_sorted_group(root, name, groups[name]) for name in names] + [_sorted_group(root, LAST_LAYER, described)]


def _sorted_group(root: Path, name: str, paths: list[str]) -> LayerGroup:
    return LayerGroup(name, tuple(sorted(path.removeprefix(f"{root}/") for path in paths)))


def _packages_of_files(environment: Path) -> dict[str, str]:
    """The package that each file belongs to; one that several packages install is the first one's."""
    owners: dict[str, str] = {}
    for name, distribution in sorted(distributions(environment).items()):
        for path, _, _ in read_record(distribution):
            owners.setdefault(os.path.normpath(path), name)
    return owners


def _compiled_from(path: str) -> str:
    """The module of a file of bytecode; any other file itself."""
    parent, name = os.path.split(path)
    upper, cache = os.path.split(parent)
    return os.path.join(upper, f"{name.partition('.')[0]}.py") if cache == "__pycache__" else path  # noqa: PTH118


def _large_packages(sizes: Mapping[str, int]) -> frozenset[str]:
    """The packages with a layer of their own: all large ones, or the largest if an engine could not mount so many."""
    large = [name for name, size in sizes.items() if name and size >= LARGE_BYTES]
    return frozenset(sorted(large, key=lambda name: (-sizes[name], name))[:MOST_LARGE])


def _group_name(owner: str, large: frozenset[str]) -> str:
    if not owner:
        return FOUNDATION
    digest = hashlib.sha256(owner.encode()).digest()
    return owner if owner in large else f"{SMALL}{digest[0] * SMALL_LAYERS // 256}"
