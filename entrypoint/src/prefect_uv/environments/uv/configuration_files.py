"""The configuration files outside the project that uv reads: the user's and the system's.

uv 0.13.8: https://docs.astral.sh/uv/concepts/configuration-files/
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

XDG_UV_TOML = Path("uv", "uv.toml")


def uv_configuration_paths(environ: Mapping[str, str], directory: Path) -> dict[str, Path]:
    """The existing files by the variable that leads uv there.

    They are the user's and the first of the system's; or only the file that UV_CONFIG_FILE names.
    """
    home = environ.get("XDG_CONFIG_HOME") or f"{environ.get('HOME', '/nonexistent')}/.config"
    system = (*(environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep), "/etc")
    places = {
        "XDG_CONFIG_HOME": [Path(home, XDG_UV_TOML)],
        "XDG_CONFIG_DIRS": [Path(parent, XDG_UV_TOML) for parent in system],
    }
    if named := environ.get("UV_CONFIG_FILE"):
        places = {"UV_CONFIG_FILE": [directory / named]}
    first = ((variable, next(filter(Path.is_file, files), None)) for variable, files in places.items())
    return {variable: file for variable, file in first if file}


def uv_configuration_files(environ: Mapping[str, str], directory: Path) -> list[tuple[str, bytes]]:
    """The existing files with their contents.

    Args:
        environ: all variables.
        directory: where uv runs.
    """
    files = dict.fromkeys(uv_configuration_paths(environ, directory).values())
    return [(str(file), file.read_bytes()) for file in files]
