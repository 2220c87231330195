"""A mirror of uv's Python builds that offers this machine's interpreter."""

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
DEBIAN_PYTHON = Path(f"/usr/bin/python{VERSION}")
PYTHON = DEBIAN_PYTHON if DEBIAN_PYTHON.exists() else Path(sys.base_prefix) / "bin" / f"python{VERSION}"
LEFT_OUT = ("*/site-packages/*", "*/dist-packages/*", "*/test/*", "*/__pycache__/*", "*/sitecustomize.py")


@contextmanager
def served(directory: Path, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve a directory over HTTP; yields its address."""
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
    """Pack this machine's interpreter like uv's Python builds; Debian's own if possible, as it is self-contained."""
    packed, prefix = directory / "python.tar.gz", PYTHON.parent.parent
    with tarfile.open(packed, "w:gz", compresslevel=1) as tar:
        for part in (f"bin/python{VERSION}", f"lib/python{VERSION}"):
            tar.add(prefix / part, f"python/{part}", filter=_filter_member)
    return packed


def _filter_member(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    info.uid = info.gid = 0
    return None if any(Path(info.name).match(pattern) for pattern in LEFT_OUT) else info


def downloads(packed: Path, address: str, version: str) -> dict[str, object]:
    """A list of Python builds in uv's form, with only this one in it."""
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
            "url": f"{address}/{packed.name}",
            "sha256": hashlib.sha256(packed.read_bytes()).hexdigest(),
            "variant": None,
            "build": "1",
        }
    }
