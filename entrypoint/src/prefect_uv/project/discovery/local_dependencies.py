"""Dependencies that lie in directories: each must have been pulled with the code."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from prefect_uv.errors import DependencyUnreachableError
from prefect_uv.project.discovery.flow_location import FlowLocation, directories_upwards
from prefect_uv.project.lockfile.local_packages import LocalPackage, local_package_paths


def check_local_dependencies(
    file: Path, lock: str, needed: Iterable[LocalPackage], location: FlowLocation, *, frozen: bool
) -> None:
    """All local packages of the lock must be there, or with `frozen` those that are needed: uv reads no others then.

    Raises:
        DependencyUnreachableError: one is not.
    """
    names = {package.name for package in needed}
    for name, path in local_package_paths(lock, file.parent):
        place = path.resolve()
        if not _is_there(place) and (name in names or not frozen):
            raise DependencyUnreachableError(
                f"{name}, a path dependency in {file}, was not pulled.",
                f"{place} {'is empty' if place.is_dir() else 'does not exist'}.",
                _remedy(place, directories_upwards(file.parent, location.working_directory)[-1], location),
            )


def _is_there(path: Path) -> bool:
    """A wheel or an archive; a directory without any file is a submodule that was not pulled."""
    return path.is_file() or (path.is_dir() and any(path.iterdir()))


def _remedy(place: Path, top: Path, location: FlowLocation) -> str:
    if not place.is_relative_to(top):
        return f"It lies outside the pulled code {top}: move it inside, or pull it beside with another step."
    inside = place.relative_to(top)
    if any(inside.is_relative_to(module) for module in _submodules(top)):
        return "It is in a submodule: set `include_submodules: true` in the step `git_clone`."
    if (top / ".git" / "info" / "sparse-checkout").is_file():
        return f"Add {inside} to the `directories` of the step `git_clone`."
    return f"Commit and push {location.shown(place)}, or take it out and lock again."


def _submodules(top: Path) -> list[str]:
    file = top / ".gitmodules"
    text = file.read_text(errors="replace") if file.is_file() else ""
    return re.findall(r"^\s*path\s*=\s*(.+?)\s*$", text, re.MULTILINE)
