"""Copies of checkouts to build in; git finds their history where it is."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.project_code.derived_files import GIT, is_derived


@dataclass(frozen=True)
class BuildCopies:
    """Each checkout is copied once.

    Attributes:
        place: where.
        root: of the workspace: what is below it and in no checkout is copied with it.
    """

    place: Path
    root: Path

    def of(self, directory: Path) -> Path:
        """The copy of a directory, within a copy of all that its build may look at."""
        top = self._top(directory)
        copy = self.place / str(top).strip("/").replace("/", "-")
        if not copy.exists():
            shutil.copytree(top, copy, symlinks=True, ignore=_left_out)
            _refer(top / GIT, copy / GIT)
        return copy / directory.relative_to(top)

    def _top(self, directory: Path) -> Path:
        checkout = next((place for place in (directory, *directory.parents) if (place / GIT).exists()), None)
        return checkout or (self.root if directory.is_relative_to(self.root) else directory)


def _left_out(directory: str, names: list[str]) -> set[str]:
    """A build that finds the leavings of another one may pack what was deleted since."""
    return {name for name in names if is_derived(Path(directory) / name)}


def _refer(git: Path, copy: Path) -> None:
    """A `.git` file that leads to the repository (gitrepository-layout), for versions that are made from tags."""
    if git.is_dir():
        copy.write_text(f"gitdir: {git}\n")
    elif git.exists():
        target = git.read_text().removeprefix("gitdir:").strip()
        copy.write_text(f"gitdir: {(git.parent / target).resolve()}\n")
