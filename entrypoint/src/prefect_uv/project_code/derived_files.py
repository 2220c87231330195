"""Files among the code that are derived from it: they do not change its digest, and builds do not see them."""

from __future__ import annotations

from pathlib import Path

GIT = ".git"
_NAMES = {GIT, ".venv", "__pycache__"}
_EGG_INFO = ".egg-info"
_BUILD = "build"
_SETUPTOOLS = ("lib", "bdist.", "temp.")  # what it leaves in `build`: https://github.com/pypa/setuptools/issues/1871


def is_derived(path: Path) -> bool:
    """Whether a path is git's, an environment, bytecode or left by setuptools; a package named `build` is code."""
    if path.name == _BUILD and path.is_dir():
        return any(entry.name.startswith(_SETUPTOOLS) for entry in path.iterdir())
    return path.name in _NAMES or path.name.endswith(_EGG_INFO)
