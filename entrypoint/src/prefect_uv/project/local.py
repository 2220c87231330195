"""Dependencies that lie in directories: each must have been pulled with the code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from prefect_uv.errors import DependencyUnreachableError
from prefect_uv.project.locks import Lock
from prefect_uv.project.start import Start, upwards


def check_local(lock: Lock, needed: Mapping[str, Path], policy: str, start: Start) -> None:
    """All local packages of the lock must be there, or with `frozen` those that are needed: uv reads no others then.

    Raises:
        DependencyUnreachableError: one is not.
    """
    wanted = needed if policy == "frozen" else lock.paths()
    for name, path in wanted.items():
        if not _is_there(path):
            place = path.resolve()
            raise DependencyUnreachableError(
                f"{name}, a path dependency in {lock.path}, was not pulled.",
                f"{place} {'is empty' if place.is_dir() else 'does not exist'}.",
                _remedy(place, upwards(lock.path.parent, start.working_directory)[-1], start),
            )


def _is_there(path: Path) -> bool:
    """A wheel or an archive; a directory without any file is a submodule that was not pulled."""
    return path.is_file() or (path.is_dir() and any(path.iterdir()))


def _remedy(place: Path, top: Path, start: Start) -> str:
    if not place.is_relative_to(top):
        return f"It lies outside the pulled code {top}: move it inside, or pull it beside with another step."
    inside = place.relative_to(top)
    modules = top / ".gitmodules"
    if modules.is_file() and f"path = {inside.parts[0]}" in modules.read_text():
        return "It is in a submodule: set `include_submodules: true` in the step `git_clone`."
    if (top / ".git" / "info" / "sparse-checkout").is_file():
        return f"Add {inside} to the `directories` of the step `git_clone`."
    return f"Commit and push {start.shown(place)}, or take it out and lock again."
