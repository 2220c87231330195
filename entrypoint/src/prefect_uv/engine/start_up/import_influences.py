"""What a run's variables and directories change about importing Prefect: settings, modules that hide others, plugins.

An early engine has imported Prefect without them, so a run that has any of it does not get that engine.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from prefect_uv.read_only_root import prefect_home

# What they name is looked for in the working directory, unless it is absolute: by Prefect 3.9.1, Python and uv 0.13.9.
PATH_VARIABLES = ("PREFECT_HOME", "PREFECT_LOGGING_SETTINGS_PATH", "PREFECT_PROFILES_PATH", "PYTHONPATH", "UV_ENV_FILE")
# coverage 7 begins to measure when Python starts, and writes into that working directory.
# https://coverage.readthedocs.io/en/latest/subprocess.html
COVERAGE_VARIABLES = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")
LOGGING_FILE = "logging.yml"
# Prefect 3.9.1: `_get_profiles_path` in settings/sources.py, `setup_logging` in logging/configuration.py
HOME_FILES = ("profiles.toml", LOGGING_FILE)
# Prefect 3.9.1 reads them in the working directory: https://docs.prefect.io/v3/concepts/settings-and-profiles
SETTINGS_FILES = (".env", "prefect.toml")
PREFECT_TABLE = re.compile(
    r"""tool["']?\s*\.\s*["']?prefect  # [tool.prefect]
    | ^\s*\[\s*["']?tool["']?\s*\] | ^\s*["']?tool["']?\s*=  # all of tool""",
    re.MULTILINE | re.VERBOSE,
)
# uv 0.13.9 refuses to run: https://docs.astral.sh/uv/reference/settings/#required-version
UV_SETTINGS = ("uv.toml", "pyproject.toml")
REQUIRED_UV = "required-version"
# https://docs.python.org/3/library/site.html#module-sitecustomize
CUSTOMIZATIONS = {"sitecustomize", "usercustomize"}
MODULE_SUFFIXES = (".py", ".pyc", ".so")
METADATA_SUFFIXES = (".dist-info", ".egg-info")
# Nobody looks for scripts when Prefect is imported: https://packaging.python.org/en/latest/specifications/entry-points/
PLUGIN_GROUP = re.compile(r"^\[(?!console_scripts\]|gui_scripts\])", re.MULTILINE)


def import_influence(directory: Path, import_path: Iterable[Path], modules: Collection[str]) -> str:
    """Say what changes the import of Prefect in this working directory; empty if nothing does.

    Args:
        directory: the working directory, which comes first on the import path.
        import_path: the directories that come last on it.
        modules: the names at the top of the environment's site-packages.
    """
    import_path = [*import_path]
    found = (
        _settings(directory),
        _hiding_modules(directory, modules),
        _customizations(import_path),
        _plugins((directory, *import_path)),
    )
    return next((reason for reasons in found for reason in reasons), "")


def depends_on_the_run(environ: Mapping[str, str]) -> bool:
    """Whether these variables make Python or Prefect use the working directory, or the run's modules, when they start.

    A configuration of logging may name classes of the project. Prefect 3.9.1 passes over one that it cannot import, and
    logs nothing then: `setup_logging` in prefect/logging/configuration.py.
    """
    if environ.get("PREFECT_LOGGING_SETTINGS_PATH") or (prefect_home(environ) / LOGGING_FILE).exists():
        return True
    paths = [path for name in PATH_VARIABLES for path in (environ.get(name) or "/").split(os.pathsep)]
    return any(not path.startswith("/") for path in paths) or any(map(environ.get, COVERAGE_VARIABLES))


def variable_below(directory: Path, environ: Mapping[str, str]) -> str:
    """The variable that names a path below a directory; empty if none does."""
    paths = ((name, path) for name in PATH_VARIABLES for path in environ.get(name, "").split(os.pathsep) if path)
    return next((name for name, path in paths if Path(path).is_relative_to(directory)), "")


def files_read_at_import(environ: Mapping[str, str]) -> dict[Path, tuple[int, int, int] | None]:
    """The files that importing Prefect reads outside of the working directory, and what tells versions apart."""
    named = (path for name in PATH_VARIABLES[1:] for path in environ.get(name, "").split(os.pathsep) if path)
    paths = [*(prefect_home(environ) / name for name in HOME_FILES), *map(Path, named)]
    return {path: _file_status(path) for path in paths}


def _file_status(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def top_level_modules(directory: Path) -> Iterator[str]:
    """The names of the modules and packages in a directory; those of namespace packages end with a slash.

    A namespace package hides nothing but parts of another one, and is hidden by any module of its name.
    """
    with suppress(OSError):
        for path in sorted(directory.iterdir()):
            if path.name.endswith(METADATA_SUFFIXES):
                continue
            if path.name.endswith(MODULE_SUFFIXES) or next(path.glob("__init__.*"), None):
                yield path.name.partition(".")[0]
            elif path.name.isidentifier() and path.name != "__pycache__" and path.is_dir():
                yield f"{path.name}/"


def _settings(directory: Path) -> Iterator[str]:
    for name in SETTINGS_FILES:
        if (directory / name).exists():
            yield f"{name} may have settings of Prefect"
    if PREFECT_TABLE.search(_text(directory / "pyproject.toml")):
        yield "pyproject.toml has settings of Prefect"
    for parent in (directory, *directory.parents):
        for name in UV_SETTINGS:
            if REQUIRED_UV in _text(parent / name):
                yield f"{parent / name} requires a version of uv"


def _hiding_modules(directory: Path, modules: Collection[str]) -> Iterator[str]:
    for name in top_level_modules(directory):
        if name in modules or name in sys.stdlib_module_names or f"{name}/" in modules:
            yield f"{directory / name} hides a module of this name"


def _customizations(import_path: Iterable[Path]) -> Iterator[str]:
    for directory in import_path:
        if CUSTOMIZATIONS.intersection(top_level_modules(directory)):
            yield f"{directory} has a module that Python imports when it starts"


def _plugins(directories: Iterable[Path]) -> Iterator[str]:
    for directory in directories:
        with suppress(OSError):
            for path in directory.iterdir():
                if path.name.endswith(METADATA_SUFFIXES) and PLUGIN_GROUP.search(_text(path / "entry_points.txt")):
                    yield f"{path} has plugins"


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
