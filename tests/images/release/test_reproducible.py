"""Two builds of one commit have one digest."""

from __future__ import annotations

import time
from pathlib import Path
from uuid import uuid4

import docker
import pytest

from images import docker_engine
from images.family import Family
from images.release.oci_layout import Layout
from images.release.publish import Release
from images.release.reproducible_image import ImageWriter
from tests.images.containers import Runner

FIXED = 315532800  # 1980-01-01
STALE_BYTECODE = """
import importlib.util, pathlib, struct, sys
for root in map(pathlib.Path, sys.argv[2:]):
    for file in root.rglob("*.pyc"):
        flags, recorded = struct.unpack("<4xII4x", file.read_bytes()[:16])
        source = pathlib.Path(importlib.util.source_from_cache(file))
        if (flags, recorded, int(source.stat().st_mtime)) != (0, int(sys.argv[1]), int(sys.argv[1])):
            print(file)
"""
DOCKERFILE = "FROM {}\nRUN mkdir /new && date > /new/file && echo same > /new/file && touch /usr/bin/apt\n"


def test_bytecode_records_a_fixed_time(engine: docker.DockerClient, family: Family) -> None:
    """The bytecode of the program and of the client records the fixed time that their sources have, so it is used."""
    run = Runner(engine, family.tag("py313"))
    roots = ["/opt/prefect-uv/lib", "/opt/prefect-client/lib"]
    assert run.succeed(["python", "-c", STALE_BYTECODE, str(FIXED), *roots], user="0") == ""


def test_same_files_at_other_times_are_the_same_image(
    engine: docker.DockerClient, family: Family, tmp_path: Path
) -> None:
    """Docker's images of two builds differ; as OCI images they do not."""
    client = docker_engine.client() or "docker"
    tags = [f"prefect-uv-test-{uuid4().hex[:8]}:same" for _ in range(2)]
    writer = ImageWriter(client, Layout(tmp_path), int(time.time()) - 3600)
    (tmp_path / "Dockerfile").write_text(DOCKERFILE.format(family.debian_image))
    try:
        built = []
        for tag in tags:
            image, _ = engine.images.build(path=str(tmp_path), tag=tag, nocache=True, forcerm=True)
            built.append((image.id, writer.write(tag)["digest"]))
            time.sleep(1)  # tar keeps seconds
    finally:
        for tag in tags:
            engine.images.remove(tag, force=True)
    (first, first_digest), (second, second_digest) = built
    assert first != second
    assert first_digest == second_digest


# The tests above hold in the short form what made builds differ.
@pytest.mark.full
@pytest.mark.timeout(1800)
def test_two_builds_have_one_digest(family: Family, tmp_path: Path) -> None:
    """Built twice from nothing, all images that can be built here are the same."""
    releases = [Release(family, "registry.example/prefect-uv", tmp_path / str(number)) for number in range(2)]
    for release in releases:
        release.build(["py313", "py313-slim", "py313-build"])
    first, second = ({one.image.name: one.index["digest"] for one in release.images} for release in releases)
    assert first == second
