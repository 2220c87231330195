"""The facts about the image."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from prefect_uv.image_facts import Image


def test_probe_asks_the_interpreter_and_uv(image: Image) -> None:
    """The facts come from the given interpreter and from the uv on PATH."""
    assert image.python_version == ".".join(map(str, sys.version_info[:3]))
    assert image.platform.startswith("CPython-cpython-3")
    assert image.uv.startswith(image.uv_minor + ".")
    assert image.uv_minor.count(".") == 1


def test_facts_are_read_as_written(image: Image, tmp_path: Path) -> None:
    """A start reads what the build of the image wrote."""
    path = tmp_path / "image.json"
    path.write_text(json.dumps(asdict(image)))
    assert Image.read(path) == image
