"""The images whose interpreter uv downloads while they are built."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import docker
import pytest

from images import engine as machine
from images.build import NO_PYTHON, build
from images.family import Family, Image
from tests.images.containers import Runner

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
DEBIANS = Path(f"/usr/bin/python{VERSION}")
UNUSED = ("*/site-packages/*", "*/dist-packages/*", "*/test/*", "*/__pycache__/*", "*/sitecustomize.py")


@pytest.fixture
def client() -> str:
    """The Docker client that the builder uses."""
    found = machine.client()
    assert found
    return found


def test_failed_download_stops_the_build_with_the_way_out(
    client: str, family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason and the two ways out are told, and nothing is tagged."""
    monkeypatch.setenv("UV_PYTHON_INSTALL_MIRROR", "http://127.0.0.1:9/none")
    own = dataclasses.replace(family, images={**family.images, "own": _member(family, "own", "3.12")})
    failure = str(build(client, own, ["own"])["own"])
    assert "http://127.0.0.1:9/none" in failure
    assert f"{NO_PYTHON}: Python 3.12 could not be downloaded." in failure
    assert "hint: Set UV_PYTHON_INSTALL_MIRROR" in failure
    assert "use the image py313" in failure


def test_other_failure_is_not_taken_for_a_failed_download(client: str, family: Family) -> None:
    """`make build-all` excuses a download only: a version that uv does not know is another failure."""
    own = dataclasses.replace(family, images={**family.images, "own": _member(family, "own", "1.0")})
    assert build(client, own, ["own"]).keys() == {"own"}


def test_interpreter_from_a_mirror(
    client: str, engine: docker.DockerClient, family: Family, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a reachable mirror uv installs the interpreter, which then runs for any user."""
    name = f"mirrored-{uuid4().hex[:8]}"
    own = dataclasses.replace(family, images={**family.images, name: _member(family, name, VERSION)})
    with _served(tmp_path) as address:
        (tmp_path / "downloads.json").write_text(json.dumps(_downloads(_archive(tmp_path), address)))
        monkeypatch.setenv("UV_PYTHON_DOWNLOADS_JSON_URL", f"{address}/downloads.json")
        assert build(client, own, [name]) == {}
    try:
        run = Runner(engine, own.tag(name))
        facts = json.loads(run.succeed(["cat", "/opt/prefect-uv/image.json"]))
        assert facts["python"] == f"/usr/local/bin/python{VERSION}"
        answer = run.succeed([facts["python"], "-c", "import encodings; print(encodings.__cached__)"], user="12345:0")
        assert answer.startswith("/opt/python/")
        run.succeed(["test", "-f", answer.strip()])
    finally:
        engine.images.remove(own.tag(name))


def _member(family: Family, name: str, python: str) -> Image:
    return dataclasses.replace(family.images["py312"], name=name, python=python)


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
