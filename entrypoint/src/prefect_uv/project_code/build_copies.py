"""Copies of checkouts to build in, whose git history stays in the original."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.cache_volume.full_disk import write_file
from prefect_uv.processes.signals import call_in_thread
from prefect_uv.project_code.derived_files import GIT, is_derived


@dataclass(frozen=True)
class BuildCopies:
    """Copies each checkout once.

    Attributes:
        directory: where the copies go.
        root: the root of the workspace; a package below it that is in no checkout is copied with the whole workspace.
    """

    directory: Path
    root: Path

    def copy_of(self, package: Path) -> Path:
        """The copy of a package's directory, within a copy of everything that its build may read."""
        tree = self._tree_of(package)
        copy = self.directory / str(tree).strip("/").replace("/", "-")
        if not copy.exists():
            call_in_thread(shutil.copytree, tree, copy, symlinks=True, ignore=_derived_names)
            _link_repository(tree / GIT, copy / GIT)
        return copy / package.relative_to(tree)

    def _tree_of(self, package: Path) -> Path:
        checkout = next((path for path in (package, *package.parents) if (path / GIT).exists()), None)
        return checkout or (self.root if package.is_relative_to(self.root) else package)


def _derived_names(directory: str, names: list[str]) -> set[str]:
    """The names not to copy: a build that finds the output of an earlier one may pack files that were deleted since.

    setuptools: https://github.com/pypa/setuptools/issues/1871
    """
    return {name for name in names if is_derived(Path(directory) / name)}


def _link_repository(original: Path, copy: Path) -> None:
    """Write a `.git` file that points to the repository, for backends that derive versions from tags.

    git 2.47: https://git-scm.com/docs/gitrepository-layout
    """
    if original.is_dir():
        write_file(copy, f"gitdir: {original}\n")
    elif original.exists():
        repository = original.read_text().removeprefix("gitdir:").strip()
        write_file(copy, f"gitdir: {(original.parent / repository).resolve()}\n")
