"""A mirror of uv's Python builds that has this machine's interpreter, and an image with it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import docker
import pytest

from images import engine as machine
from images.build import build
from images.family import Family, Image

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
DEBIANS = Path(f"/usr/bin/python{VERSION}")
UNUSED = ("*/site-packages/*", "*/dist-packages/*", "*/test/*", "*/__pycache__/*", "*/sitecustomize.py")


def member(family: Family, name: str, python: str) -> Image:
    """An image like py312 with another interpreter."""
    return dataclasses.replace(family.images["py312"], name=name, python=python)


@contextmanager
def mirrored_image(family: Family, directory: Path) -> Iterator[str]:
    """An image of the family whose interpreter uv has installed from a mirror on this machine; its tag."""
    name = f"mirrored-{uuid4().hex[:8]}"
    own = dataclasses.replace(family, images={**family.images, name: member(family, name, VERSION)})
    found = machine.client()
    assert found
    with _served(directory) as address, pytest.MonkeyPatch.context() as patch:
        (directory / "downloads.json").write_text(json.dumps(_downloads(_archive(directory), address)))
        patch.setenv("UV_PYTHON_DOWNLOADS_JSON_URL", f"{address}/downloads.json")
        assert build(found, own, [name]) == {}
    try:
        yield own.tag(name)
    finally:
        with closing(docker.from_env()) as client:
            client.images.remove(own.tag(name))


@contextmanager
def _served(directory: Path) -> Iterator[str]:
    """A directory over HTTP on this machine."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(directory))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _archive(directory: Path) -> Path:
    """This machine's interpreter in the form of uv's Python builds; Debian's own, which needs no library beside it."""
    archive, prefix = directory / "python.tar.gz", Path("/usr" if DEBIANS.exists() else sys.base_prefix)
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for part in (f"bin/python{VERSION}", f"lib/python{VERSION}"):
            tar.add(prefix / part, f"python/{part}", filter=_wanted)
    return archive


def _wanted(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    info.uid = info.gid = 0
    return None if any(Path(info.name).match(pattern) for pattern in UNUSED) else info


def _downloads(archive: Path, address: str) -> dict[str, object]:
    """uv's list of Python builds, with this one in it."""
    return {
        f"cpython-{VERSION}.0-linux-x86_64-gnu": {
            "name": "cpython",
            "arch": {"family": "x86_64", "variant": None},
            "os": "linux",
            "libc": "gnu",
            "major": sys.version_info.major,
            "minor": sys.version_info.minor,
            "patch": 0,
            "prerelease": "",
            "url": f"{address}/{archive.name}",
            "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
            "variant": None,
            "build": "1",
        }
    }
