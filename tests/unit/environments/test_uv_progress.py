"""What uv writes while it works says how far it is; real uv still writes it."""

from __future__ import annotations

import os
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.environments.uv.uv_command import Uv
from prefect_uv.environments.uv.uv_progress import UvProgress
from prefect_uv.image_facts import Image
from prefect_uv.log import progress
from prefect_uv.log.run_log import RunLog
from tests.unit.conftest import MakeSettings
from tests.unit.wheels import build_wheel

LINES = """
Using CPython 3.13.5 interpreter at: /usr/bin/python3.13
Resolved 109 packages in 1.14s
   Updating https://git.example.com/team/lib (HEAD)
Downloading pydantic-core (2.2MiB)
Downloading torch (1.5GiB)
Downloading pyarrow (52.5MiB)
Downloading tiny (512.0KiB)
   Building docopt==0.6.2
   Building lib @ file:///opt/lib
Downloading cpython-3.12.11-linux-x86_64-gnu (download) (32.0MiB)
"""
ENDS = """
    Updated https://git.example.com/team/lib (0123456789abcdef)
 Downloaded pydantic-core
 Downloaded tiny
      Built lib @ file:///opt/lib
 Downloaded cpython-3.12.11-linux-x86_64-gnu (download)
"""
LAST = """
 Downloaded torch
 Downloaded pyarrow
      Built docopt==0.6.2
Prepared 109 packages in 2.05s
"""


def test_lines_of_uv() -> None:
    """What is going on is listed, the largest first, with how much of how much has been downloaded."""
    uv = UvProgress()
    assert uv.describe() == ""
    said = []
    for lines in (LINES, ENDS, LAST):
        for line in lines.splitlines():
            uv.read(line)
        said.append(uv.describe())
    downloads, others = "torch, pyarrow, cpython-3.12.11-linux-x86_64-gnu and 2 more", "docopt==0.6.2, lib"
    updates = "https://git.example.com/team/lib"
    assert said == [
        f"downloading {downloads}; building {others}; updating {updates}; 0 of 5 downloads done (0 of 1623 MiB)",
        "downloading torch, pyarrow; building docopt==0.6.2; 3 of 5 downloads done (35 of 1623 MiB)",
        "5 of 5 downloads done (1623 of 1623 MiB); prepared 109 packages",
    ]


class Index(BaseHTTPRequestHandler):
    """An index with one wheel, of which it sends the second half when it may."""

    wheel: Path
    go_on: threading.Event

    def log_message(self, *_: object) -> None:
        """Log nothing, to keep the test output readable."""

    def do_GET(self) -> None:
        """Send the list of wheels, the wheel's metadata, or the wheel."""
        name = self.wheel.name
        with zipfile.ZipFile(self.wheel) as archive:
            metadata = archive.read("bulky-1.0.dist-info/METADATA")
        pages = {
            "/bulky/": f'<a href="/{name}" data-core-metadata="true">{name}</a>'.encode(),
            f"/{name}.metadata": metadata,
            f"/{name}": self.wheel.read_bytes(),
        }
        body = pages[self.path]
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2])
        if self.path == f"/{name}":
            self.go_on.wait(20)
        self.wfile.write(body[len(body) // 2 :])


@pytest.fixture
def index(tmp_path: Path) -> Iterator[tuple[str, threading.Event]]:
    """The URL of an index that sends a package only in part, until the event is set."""
    Index.wheel = build_wheel(tmp_path / "wheels", "bulky", "1.0", {"bulky.py": "#" * 2_000_000})
    Index.go_on = threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", Index.go_on
        server.shutdown()


def test_real_download_is_reported(  # noqa: PLR0913, PLR0917 (fixtures)
    index: tuple[str, threading.Event],
    make_settings: MakeSettings,
    log: RunLog,
    image: Image,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While an index sends a large package, the log says so, once it has lasted."""
    monkeypatch.setattr(progress, "PROGRESS_SECONDS", 0.05)
    url, reported = index
    lines: list[str] = []

    def listen(message: str) -> None:
        lines.append(message)
        if message.endswith(": downloading bulky; 0 of 1 downloads done (0 of 2 MiB)"):
            reported.set()

    monkeypatch.setattr(log, "info", listen)
    settings = make_settings(PATH=os.environ["PATH"], UV_DEFAULT_INDEX=url, HOME=str(tmp_path), UV_NO_CONFIG="1")
    uv = Uv(settings, image, CacheDirectory(tmp_path, (), tmp_path / "uv"), log)
    uv.run_checked("pip", "install", "--target", tmp_path / "target", "--python", image.python, "bulky")
    assert reported.is_set(), lines
    assert lines[0].startswith("still running `uv pip install` after 0 s")
    assert (tmp_path / "target" / "bulky.py").exists()
