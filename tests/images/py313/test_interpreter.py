"""The image for projects on Debian's own Python."""

from __future__ import annotations

import json

import docker
from docker.models.images import Image

from images.family import Family
from tests.images.containers import Runner


def test_interpreter_is_debians(run: Runner) -> None:
    """It adds no interpreter: the projects' Python is the one that Debian keeps up to date."""
    assert json.loads(run.succeed(["cat", "/opt/prefect-uv/image.json"]))["python"] == "/usr/bin/python3.13"


def test_it_adds_next_to_nothing_to_the_base(image: Image, engine: docker.DockerClient, family: Family) -> None:
    """Its layers are those of the base, and one small file."""
    base = engine.images.get(family.tag("base"))
    assert image.attrs["Size"] - base.attrs["Size"] < 100_000
