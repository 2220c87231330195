"""Reading every file of every layer of an image, with what the image says about its making."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from collections.abc import Iterable, Iterator

from docker.models.images import Image


def contents(image: Image) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the configuration and of all files in all layers."""
    yield "configuration", json.dumps([image.attrs, image.history()]).encode()
    with tempfile.TemporaryFile() as archive:
        archive.writelines(image.save())
        archive.seek(0)
        with tarfile.open(fileobj=archive) as saved:
            for member in saved:
                if file := saved.extractfile(member):
                    yield from _entry(member.name, file.read())


def _entry(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """A part of a saved image: a layer as its files, anything else as it is."""
    if not tarfile.is_tarfile(io.BytesIO(data)):
        yield name, data
        return
    with tarfile.open(fileobj=io.BytesIO(data)) as layer:
        for member in layer:
            yield member.name, member.name.encode()
            if file := layer.extractfile(member) if member.isfile() else None:
                yield member.name, file.read()


def containing(image: Image, needles: Iterable[bytes]) -> list[tuple[str, bytes]]:
    """Where the image holds any of these strings."""
    wanted = list(needles)
    return [(name, needle) for name, data in contents(image) for needle in wanted if needle in data]
