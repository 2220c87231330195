"""Two builds of one commit have one digest."""

from __future__ import annotations

import os
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
    files = list(root.rglob("*.pyc"))
    print(len(files) > 50)
    for file in files:
        flags, recorded = struct.unpack("<4xII4x", file.read_bytes()[:16])
        source = pathlib.Path(importlib.util.source_from_cache(file))
        if (flags, recorded, int(source.stat().st_mtime)) != (0, int(sys.argv[1]), int(sys.argv[1])):
            print(file)
"""


def test_bytecode_records_a_fixed_time(engine: docker.DockerClient, family: Family) -> None:
    """The bytecode of the program and of the client records the fixed time that their sources have, so it is used."""
    run = Runner(engine, family.tag("py313"))
    roots = ["/opt/prefect-uv/lib", "/opt/prefect-client/lib"]
    assert run.succeed(["python", "-c", STALE_BYTECODE, str(FIXED), *roots], user="0") == "True\nTrue\n"


def test_same_files_at_other_times_are_the_same_image(
    engine: docker.DockerClient, family: Family, tmp_path: Path
) -> None:
    """Docker's images of two builds differ; as OCI images they do not."""
    now = int(time.time())
    writer = ImageWriter(docker_engine.client() or "docker", Layout(tmp_path / "oci"), now - 3600)
    (tmp_path / "file").write_text("same")
    (tmp_path / "Dockerfile").write_text(f"FROM {family.debian_image}\nCOPY file /new/\n")
    tags = [f"prefect-uv-test-{uuid4().hex[:8]}:same" for _ in range(2)]
    built = []
    try:
        for tag, written in zip(tags, (now, now + 60), strict=True):
            os.utime(tmp_path / "file", (written, written))
            image, _ = engine.images.build(path=str(tmp_path), tag=tag, nocache=True, forcerm=True)
            built.append((image.id, writer.write(tag)["digest"]))
    finally:
        for image_id, _ in built:
            engine.images.remove(str(image_id), force=True)
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
