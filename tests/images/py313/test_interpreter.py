"""The image for projects that use Debian's own Python."""

from __future__ import annotations

import json

import docker
from docker.models.images import Image

from images.family import Family
from tests.images.containers import Runner


def test_interpreter_is_debians(run: Runner) -> None:
    """The interpreter for projects is the one that Debian keeps up to date."""
    assert json.loads(run.succeed(["cat", "/opt/prefect-uv/image.json"]))["python"] == "/usr/bin/python3.13"


def test_image_is_hardly_larger_than_the_base(image: Image, engine: docker.DockerClient, family: Family) -> None:
    """The image adds one small file to the base."""
    base = engine.images.get(family.tag("base"))
    assert image.attrs["Size"] - base.attrs["Size"] < 100_000
