"""Which Python the pulled code asks for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from prefect_uv.project.files.text_files import read_text
from prefect_uv.settings import Settings

PIN = ".python-version"


def requested_python(directories: Iterable[Path], settings: Settings) -> tuple[str, str]:
    """The requested Python and where the request comes from: the setting, or else the nearest .python-version.

    Both are empty if nothing is requested. Of a .python-version, the first line that is not a comment counts.
    uv 0.13.8: https://docs.astral.sh/uv/concepts/python-versions/#python-version-files
    """
    if settings.python:
        return settings.python, "PREFECT_UV_PYTHON"
    file = next((directory / PIN for directory in directories if (directory / PIN).is_file()), None)
    lines = map(str.strip, read_text(file).splitlines() if file else [])
    pinned = next((line for line in lines if line and not line.startswith("#")), "")
    return pinned, PIN if pinned else ""
