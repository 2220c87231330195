"""A mirror of uv's Python builds that has this machine's interpreter."""

from __future__ import annotations

import hashlib
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
DEBIANS = Path(f"/usr/bin/python{VERSION}")
PYTHON = DEBIANS if DEBIANS.exists() else Path(sys.base_prefix) / "bin" / f"python{VERSION}"
UNUSED = ("*/site-packages/*", "*/dist-packages/*", "*/test/*", "*/__pycache__/*", "*/sitecustomize.py")


@contextmanager
def served(directory: Path, host: str = "127.0.0.1") -> Iterator[str]:
    """A directory over HTTP on this machine."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(directory))
    with ThreadingHTTPServer((host, 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://{host}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def archive(directory: Path) -> Path:
    """This machine's interpreter in the form of uv's Python builds; Debian's own, which needs no library beside it."""
    made, prefix = directory / "python.tar.gz", PYTHON.parent.parent
    with tarfile.open(made, "w:gz", compresslevel=1) as tar:
        for part in (f"bin/python{VERSION}", f"lib/python{VERSION}"):
            tar.add(prefix / part, f"python/{part}", filter=_wanted)
    return made


def _wanted(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    info.uid = info.gid = 0
    return None if any(Path(info.name).match(pattern) for pattern in UNUSED) else info


def downloads(made: Path, address: str, version: str) -> dict[str, object]:
    """uv's list of Python builds, with this one in it."""
    major, minor, patch = map(int, version.split("."))
    return {
        f"cpython-{version}-linux-x86_64-gnu": {
            "name": "cpython",
            "arch": {"family": "x86_64", "variant": None},
            "os": "linux",
            "libc": "gnu",
            "major": major,
            "minor": minor,
            "patch": patch,
            "prerelease": "",
            "url": f"{address}/{made.name}",
            "sha256": hashlib.sha256(made.read_bytes()).hexdigest(),
            "variant": None,
            "build": "1",
        }
    }
