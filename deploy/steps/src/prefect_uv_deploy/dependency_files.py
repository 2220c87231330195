"""Which files of a project can decide its environment: those that uv and the entrypoint read, and no code.

A file too many costs a build when it changes. A file too few would be an error of the build, or another environment
than at run time; then the argument `include` names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

NAMES = {
    ".python-version",
    ".python-versions",
    "Pipfile",
    "Pipfile.lock",
    "environment.yml",
    "pdm.lock",
    "poetry.lock",
    "pyproject.toml",
    "setup.cfg",
    "setup.py",
    "uv.lock",
    "uv.toml",
}
PATTERNS = ("pylock*.toml", "*requirements*.txt", "*requirements*.in", "*constraints*.txt", "*.py.lock", "*.whl")
REQUIREMENTS_FOLDER = re.compile(r"requirements?")
ARCHIVES = (".tar.gz", ".zip")
INCLUDED = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint)[\s=]*(\S+)", re.MULTILINE)


def dependency_files(directory: Path, names: Iterable[str], named: Sequence[str], include: Sequence[str]) -> list[str]:
    """The files that can decide an environment.

    Args:
        directory: where the project is.
        names: all files, relative to it.
        named: files that an argument or a variable names, such as a script.
        include: patterns of further files.
    """
    every = set(names)
    found = {name for name in every if _decides(name) or any(fnmatch(name, pattern) for pattern in include)}
    found |= every & {str(PurePosixPath(name)) for name in named}
    new = found
    while new:
        new = {name for file in new for name in _included(directory, file)} & every - found
        found |= new
    texts = "".join(_text(directory / name) for name in found if name.endswith((".lock", ".toml", ".txt", ".in")))
    archives = {name for name in every if name.endswith(ARCHIVES) and PurePosixPath(name).name in texts}
    return sorted(found | archives)


def _decides(name: str) -> bool:
    path = PurePosixPath(name)
    if path.name in NAMES or any(fnmatch(path.name, pattern) for pattern in PATTERNS):
        return True
    return path.suffix in {".txt", ".in"} and bool(REQUIREMENTS_FOLDER.fullmatch(path.parent.name))


def _included(directory: Path, file: str) -> set[str]:
    """The files that a requirements file includes."""
    if not file.endswith((".txt", ".in")):
        return set()
    root = directory.resolve()
    paths = ((root / file).parent / name for name in INCLUDED.findall(_text(directory / file)))
    inside = (path.resolve() for path in paths if path.is_file() and path.resolve().is_relative_to(root))
    return {path.relative_to(root).as_posix() for path in inside}


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.is_file() else ""
