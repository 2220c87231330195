"""The directories that one run imports from, in an environment that other runs share: read from a variable, by a hook.

An editable installation names its directories in a `.pth` file; ours reads them from a variable, so they come to the
same place, behind the standard library and the environment's packages, and each run has its own (ADR 25).
https://docs.python.org/3/library/site.html
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from prefect_uv.cache_volume.full_disk import write_file
from prefect_uv.settings.tool_variables import IMPORT_PATH

HOOK = "_prefect_uv.pth"
_LINE = (
    "import itertools, os, sys; sys.path += itertools.filterfalse(sys.path.__contains__,"
    f" filter(None, os.environ.get({IMPORT_PATH!r}, '').split(os.pathsep)))\n"
)
"""One expression, because Python runs a line of a `.pth` file in a function, and twice in a virtual environment."""
_SITE_PACKAGES = "python*/site-packages"


def add_hook(environment: Path) -> None:
    """Write the hook into an environment that is being built; another one's, to which it is linked, stays as it is."""
    for directory in (environment / "lib").glob(_SITE_PACKAGES):
        hook = directory / HOOK
        hook.unlink(missing_ok=True)
        write_file(hook, _LINE)


def import_variables(environment: Path, directories: Sequence[Path], inherited: str) -> dict[str, str]:
    """The variables with which an environment's Python imports from directories, too.

    An environment that an earlier release built has no hook: its directories come first.

    Args:
        environment: its directory.
        directories: the run's own.
        inherited: the user's PYTHONPATH, which always comes first with the hook.
    """
    if next((environment / "lib").glob(f"{_SITE_PACKAGES}/{HOOK}"), None):
        return {IMPORT_PATH: joined_paths(directories)}
    return {"PYTHONPATH": joined_paths(directories, inherited)}


def joined_paths(first: Sequence[Path], rest: str = "") -> str:
    """Directories in front of a search path, which may be empty."""
    return os.pathsep.join([*map(str, first), *filter(None, [rest])])
