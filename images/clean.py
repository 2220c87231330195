"""Removing what the project made in Docker, and nothing else."""

from __future__ import annotations

import shutil

from images import engine, family
from images.process import run, say

LABELS = ("prefect-uv.demo", "prefect-uv.tests")
KINDS = {"container": ["ls", "--all", "--quiet"], "network": ["ls", "--quiet"], "volume": ["ls", "--quiet"]}


def clean() -> None:
    """Remove the labelled containers, networks and volumes, then the images of the family."""
    docker = engine.client()
    if not docker or not (engine.answers(docker) or shutil.which("dockerd")):
        return
    with engine.running():
        for kind, listing in KINDS.items():
            for label in LABELS:
                _remove(docker, kind, [*listing, "--filter", f"label={label}"])
        _remove(docker, "image", ["ls", "--quiet", family.read().repository])


def _remove(docker: str, kind: str, listing: list[str]) -> None:
    found = sorted(set(run([docker, kind, *listing], timeout=60).split()))
    if found:
        say(f"removing {len(found)} of kind {kind}")
        run([docker, kind, "rm", "--force", *found], timeout=300)
