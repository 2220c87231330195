"""Which Python the pulled code asks for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from prefect_uv.project.files.text_files import read_text
from prefect_uv.settings import Settings

PIN = ".python-version"


def requested_python(places: Iterable[Path], settings: Settings) -> tuple[str, str]:
    """What is asked for and by what: the setting, else the nearest .python-version (its first line of code)."""
    if settings.python:
        return settings.python, "PREFECT_UV_PYTHON"
    file = next((place / PIN for place in places if (place / PIN).is_file()), None)
    lines = map(str.strip, read_text(file).splitlines() if file else [])
    pinned = next((line for line in lines if line and not line.startswith("#")), "")
    return pinned, PIN if pinned else ""
