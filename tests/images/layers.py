"""Search every file of every layer of an image, its configuration and its history."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from collections.abc import Iterable, Iterator

from docker.models.images import Image


def contents(image: Image) -> Iterator[tuple[str, bytes]]:
    """The name and content of the configuration with the history, and of all files in all layers."""
    yield "configuration", json.dumps([image.attrs, image.history()]).encode()
    with tempfile.TemporaryFile() as archive:
        archive.writelines(image.save())
        archive.seek(0)
        with tarfile.open(fileobj=archive) as saved:
            for member in saved:
                if file := saved.extractfile(member):
                    yield from _entry(member.name, file.read())


def _entry(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """An entry of a saved image: the files of a layer, or the entry itself."""
    if not tarfile.is_tarfile(io.BytesIO(data)):
        yield name, data
        return
    with tarfile.open(fileobj=io.BytesIO(data)) as layer:
        for member in layer:
            yield member.name, member.name.encode()
            if file := layer.extractfile(member) if member.isfile() else None:
                yield member.name, file.read()


def containing(image: Image, needles: Iterable[bytes]) -> list[tuple[str, bytes]]:
    """Where the image contains any of these strings: names of files, each with the string."""
    needles = list(needles)
    return [(name, needle) for name, data in contents(image) for needle in needles if needle in data]
