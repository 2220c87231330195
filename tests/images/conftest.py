"""Fixtures for the tests of images: a directory's tests run on the image with its name and on that image's children."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.models.images import Image

from images.family import Family, read
from tests.images.containers import Runner

HERE = Path(__file__).parent
FAMILY = read()


def tested_images() -> list[str]:
    """The names of the images to test: those of PREFECT_UV_TEST_IMAGES, or those that `make test` builds."""
    return os.environ.get("PREFECT_UV_TEST_IMAGES", "base py313").split()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on its directory's image and on all children of that image."""
    if "image" in metafunc.fixturenames:
        own = metafunc.definition.path.parent.name
        names = [name for name in tested_images() if own in {parent.name for parent in FAMILY.lineage(name)}]
        metafunc.parametrize("image", names, indirect=True, scope="session")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of images as needing Docker."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("docker")


@pytest.fixture(scope="session")
def family() -> Family:
    """The family of images of this checkout."""
    return FAMILY


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """The Docker engine."""
    client = docker.from_env(timeout=120)
    yield client
    client.close()


@pytest.fixture(scope="session")
def image(request: pytest.FixtureRequest, engine: docker.DockerClient) -> Image:
    """The image under test; a missing image is an error, not a skip."""
    return engine.images.get(FAMILY.tag(request.param))


@pytest.fixture(scope="session")
def member(image: Image) -> str:
    """The family's name for the image under test."""
    tags = [str(tag) for tag in image.tags]
    return next(name for name in FAMILY.images if FAMILY.tag(name) in tags)


@pytest.fixture
def run(image: Image, engine: docker.DockerClient) -> Runner:
    """Runs commands in containers of the image under test."""
    return Runner(engine, str(image.id))
