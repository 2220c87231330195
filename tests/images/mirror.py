"""A mirror of Python builds for uv, with this machine's interpreter, and an image made from it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import docker
import pytest

from images import docker_engine
from images.build import build
from images.family import Family, Image
from tests.unit.pythons import VERSION, archive, downloads, served


def member(family: Family, name: str, python: str) -> Image:
    """The declaration of an image like py312, with another interpreter."""
    return dataclasses.replace(family.images["py312"], name=name, python=python)


@contextmanager
def mirrored_image(family: Family, directory: Path) -> Iterator[str]:
    """Build an image whose interpreter uv installs from a mirror on this machine; yields its tag."""
    name = f"mirrored-{uuid4().hex[:8]}"
    extended = dataclasses.replace(family, images={**family.images, name: member(family, name, VERSION)})
    client_program = docker_engine.client()
    assert client_program
    with served(directory) as address, pytest.MonkeyPatch.context() as patch:
        (directory / "downloads.json").write_text(json.dumps(downloads(archive(directory), address, f"{VERSION}.0")))
        patch.setenv("UV_PYTHON_DOWNLOADS_JSON_URL", f"{address}/downloads.json")
        assert build(client_program, extended, [name]) == {}
    try:
        yield extended.tag(name)
    finally:
        with closing(docker.from_env()) as client:
            client.images.remove(extended.tag(name))
