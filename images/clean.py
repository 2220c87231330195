"""Remove what this project made in Docker, and nothing else."""

from __future__ import annotations

import shutil

from images import docker_engine, family
from images.process import run, say

LABELS = ("prefect-uv.bench", "prefect-uv.demo", "prefect-uv.suite", "prefect-uv.tests")
REPOSITORY_SUFFIXES = ("bench", "forky", "test-*")
COMMANDS = {
    "container": (["ls", "--all", "--quiet"], ["rm", "--force"]),
    "network": (["ls", "--quiet"], ["rm"]),
    "volume": (["ls", "--quiet"], ["rm", "--force"]),
}


def clean() -> None:
    """Remove the labelled containers, networks and volumes, then the images; do nothing if there is no Docker."""
    docker = docker_engine.client()
    if not docker or not (docker_engine.answers(docker) or shutil.which("dockerd")):
        return
    members = family.read()
    with docker_engine.running():
        for kind, (listing, removal) in COMMANDS.items():
            for label in LABELS:
                _remove([docker, kind], [*listing, "--filter", f"label={label}"], removal)
        _remove([docker, "image"], ["ls", "--format", "{{.Repository}}:{{.Tag}}", members.repository], ["rm"])
        for suffix in REPOSITORY_SUFFIXES:
            listing = ["ls", "--format", "{{.Repository}}:{{.Tag}}", f"{members.repository}-{suffix}"]
            _remove([docker, "image"], listing, ["rm"])
        for name in members.images:
            dangling = f"label=org.opencontainers.image.title=prefect-uv {name}"
            run([docker, "image", "prune", "--force", "--filter", dangling], timeout=300)


def _remove(docker_object: list[str], listing: list[str], removal: list[str]) -> None:
    """Remove all objects that a command lists; `docker_object` is a command such as `docker volume`."""
    names = sorted(set(run([*docker_object, *listing], timeout=60).split()))
    if names:
        say(f"removing {len(names)} {docker_object[-1]}{'s' if len(names) > 1 else ''}")
        run([*docker_object, *removal, *names], timeout=300)
