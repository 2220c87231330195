"""Facts about the image."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from prefect_uv.image_facts import Image


def test_probe_asks_the_interpreter_and_uv(image: Image) -> None:
    """The facts are those of the given interpreter and of the uv on PATH."""
    assert image.python_version == ".".join(map(str, sys.version_info[:3]))
    assert image.platform.startswith("CPython-cpython-3")
    assert image.uv.startswith(image.uv_minor + ".")
    assert image.uv_minor.count(".") == 1


def test_facts_survive_the_file(image: Image, tmp_path: Path) -> None:
    """What the build writes is what the start reads."""
    path = tmp_path / "image.json"
    path.write_text(json.dumps(asdict(image)))
    assert Image.read(path) == image
