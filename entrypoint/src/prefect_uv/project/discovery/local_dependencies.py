"""Check that the dependencies of a lock that are directories or archives were pulled with the code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from prefect_uv.errors import LocalDependencyMissingError
from prefect_uv.project.discovery.flow_location import FlowLocation, directories_upwards
from prefect_uv.project.lockfile.local_packages import LocalPackage, local_package_paths


def check_local_dependencies(
    file: Path, lock: str, needed: Iterable[LocalPackage], location: FlowLocation, *, frozen: bool
) -> None:
    """Check the local packages of a uv.lock.

    Args:
        file: the lockfile.
        lock: its text.
        needed: the local packages that the selection needs.
        location: where the flow is.
        frozen: check only the needed packages, because with `--frozen` uv reads no others
            (uv 0.13.8: https://github.com/astral-sh/uv/blob/0.13.8/crates/uv/src/commands/project/sync.rs).

    Raises:
        LocalDependencyMissingError: a package was not pulled.
    """
    names = {package.name for package in needed}
    for name, path in local_package_paths(lock, file.parent):
        if name in names or not frozen:
            require_pulled(name, [path], file, location)


def require_pulled(name: str, paths: Sequence[Path], file: Path, location: FlowLocation) -> None:
    """Check that one of the places of a local package exists.

    Args:
        name: the package.
        paths: its directory or its archives.
        file: the lockfile.
        location: where the flow is.

    Raises:
        LocalDependencyMissingError: none exists.
    """
    if not any(map(_exists, paths)):
        target = paths[0].resolve()
        raise LocalDependencyMissingError(
            f"{name}, a path dependency in {file}, was not pulled.",
            f"{target} {'is empty' if target.is_dir() else 'does not exist'}.",
            _remedy(target, directories_upwards(file.parent, location.working_directory)[-1], location),
        )


def _exists(path: Path) -> bool:
    """Whether there is a file, or a directory with content: an empty one is a submodule that was not pulled."""
    return path.is_file() or (path.is_dir() and any(path.iterdir()))


def _remedy(target: Path, top: Path, location: FlowLocation) -> str:
    if not target.is_relative_to(top):
        return f"It is outside the pulled code in {top}: move it inside, or add a pull step for it."
    inside = target.relative_to(top)
    if any(inside.is_relative_to(module) for module in _submodules(top)):
        return "It is in a submodule: set `include_submodules: true` in the `git_clone` step."
    if (top / ".git" / "info" / "sparse-checkout").is_file():
        return f"Add {inside} to the `directories` of the `git_clone` step."
    return f"Commit and push {location.display_path(target)}, or remove the dependency and lock again."


def _submodules(top: Path) -> list[str]:
    """The relative paths of the submodules (git 2.47: https://git-scm.com/docs/gitmodules)."""
    file = top / ".gitmodules"
    text = file.read_text(errors="replace") if file.is_file() else ""
    return re.findall(r"^\s*path\s*=\s*(.+?)\s*$", text, re.MULTILINE)
