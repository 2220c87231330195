"""Locked packages that come from a directory of wheels: `find-links`, or an index whose format is flat.

uv 0.13.8: writes the directory's path relative to the lockfile, unless the project names it by an absolute one; from
0.10.10 to 0.11.29, it always wrote absolute paths (https://github.com/astral-sh/uv/issues/20477).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from prefect_uv.errors import LocalDependencyMissingError, LockfileStaleError, PrefectUvError
from prefect_uv.project.lockfile.lockfile_text import registries


def explain_missing_directory(error: PrefectUvError, lock: Path, uv_version: str) -> PrefectUvError:
    """The error for a directory of wheels that is not there, if it is why uv failed; otherwise the given error.

    Args:
        error: uv's failure.
        lock: the lockfile.
        uv_version: the image's uv.
    """
    for place in _missing_directories(lock):
        path = lock.parent / place
        absolute = Path(place).is_absolute()
        if str(path) in error.found or (absolute and isinstance(error, LockfileStaleError)):
            hint = (
                "Name it in [tool.uv] by a path inside the repository, relative to pyproject.toml. Run"
                f" `uvx uv@{uv_version} lock`, because some older versions of uv write the whole path all the same;"
                " commit the lockfile and the wheels, and push."
                if absolute
                else f"Commit and push {place}, or name an index that this container can reach, and run `uv lock`."
            )
            headline = f"{lock.name} has packages from {path}, which was not pulled."
            return LocalDependencyMissingError(headline, f"{path} does not exist.", hint)
    return error


def _missing_directories(lock: Path) -> Iterator[str]:
    places = sorted(registries(lock.read_text())) if lock.is_file() else ()
    return (place for place in places if "://" not in place and not (lock.parent / place).is_dir())
