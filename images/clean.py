"""Removing what the project made in Docker, and nothing else."""

from __future__ import annotations

import shutil

from images import engine, family
from images.process import run, say

LABELS = ("prefect-uv.bench", "prefect-uv.demo", "prefect-uv.tests")
BESIDE = ("bench", "test-*")
LABELLED = {
    "container": (["ls", "--all", "--quiet"], ["rm", "--force"]),
    "network": (["ls", "--quiet"], ["rm"]),
    "volume": (["ls", "--quiet"], ["rm", "--force"]),
}


def clean() -> None:
    """Remove the labelled containers, networks and volumes, then the images of the family."""
    docker = engine.client()
    if not docker or not (engine.answers(docker) or shutil.which("dockerd")):
        return
    members = family.read()
    with engine.running():
        for kind, (listing, removal) in LABELLED.items():
            for label in LABELS:
                _remove([docker, kind], [*listing, "--filter", f"label={label}"], removal)
        _remove([docker, "image"], ["ls", "--format", "{{.Repository}}:{{.Tag}}", members.repository], ["rm"])
        for name in BESIDE:
            listing = ["ls", "--format", "{{.Repository}}:{{.Tag}}", f"{members.repository}-{name}"]
            _remove([docker, "image"], listing, ["rm"])
        for name in members.images:
            title = f"label=org.opencontainers.image.title=prefect-uv {name}"
            run([docker, "image", "prune", "--force", "--filter", title], timeout=300)


def _remove(kind: list[str], listing: list[str], removal: list[str]) -> None:
    found = sorted(set(run([*kind, *listing], timeout=60).split()))
    if found:
        say(f"removing of kind {kind[-1]}: {len(found)}")
        run([*kind, *removal, *found], timeout=300)
