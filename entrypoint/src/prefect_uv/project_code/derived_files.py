"""What lies among code and is derived from it, and so neither makes a difference nor belongs in a build."""

from __future__ import annotations

from pathlib import Path

GIT = ".git"
_NAMES = {GIT, ".venv", "__pycache__"}
_EGG_INFO = ".egg-info"
_BUILD = "build"
_SETUPTOOLS = ("lib", "bdist.", "temp.")


def is_derived(path: Path) -> bool:
    """Git's own, environments, bytecode, and what setuptools leaves; a package that is called `build` is code."""
    if path.name == _BUILD and path.is_dir():
        return any(entry.name.startswith(_SETUPTOOLS) for entry in path.iterdir())
    return path.name in _NAMES or path.name.endswith(_EGG_INFO)
