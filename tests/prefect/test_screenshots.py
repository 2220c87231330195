"""`make screenshots` can take pictures of Prefect's pages."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from docs.browser import SIZE, installed
from docs.screenshots import Studio, show_refusal
from tests.stack import image_name


@pytest.mark.full
def test_pages_of_a_refused_run_are_pictured(tmp_path: Path) -> None:
    """A run with a stale lockfile is Crashed, and two pictures of its pages are written.

    No form of this is in `make test`, which needs no browser; `tests/unit/repository/test_pictures.py` has the files.
    """
    assert installed(), "there is no Chromium: install Debian's package, or run make screenshots as root"
    with Studio.open(image_name("py313"), tmp_path) as studio:
        show_refusal(studio)
        assert "error[lockfile-stale]" in studio.browser.text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["refused-log.png", "refused-message.png"]
    for path in tmp_path.iterdir():
        width, height = struct.unpack(">II", path.read_bytes()[16:24])
        assert width == SIZE["width"] - 256, "the menu is 256 wide"
        assert height > 500
