"""Where a look begins: the flow's file, and the directories from there up to the top of the checkout."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.errors import FlowFileMissingError


@dataclass(frozen=True)
class FlowLocation:
    """The working directory, and the file of the flow where we know it.

    Attributes:
        working_directory: where the pull steps have led to.
        flow_file: the entrypoint's file; nothing when Python alone can find the module.
    """

    working_directory: Path
    flow_file: Path | None = None

    @classmethod
    def of(cls, working_directory: Path, entrypoint: str | None, source_root: Sequence[str]) -> FlowLocation:
        """The start for an entrypoint, `path/to/file.py:function`, `module.path:function` or `module.path.function`.

        Raises:
            FlowFileMissingError: the file is not there.
        """
        directory = working_directory.resolve()
        what = (entrypoint or "").rpartition(":" if ":" in (entrypoint or "") else ".")[0]
        if not what.endswith(".py"):
            return cls(directory, _module(directory, what, source_root) if what else None)
        if not (directory / what).is_file():
            raise FlowFileMissingError(
                f"The deployment's entrypoint {entrypoint} is not in {working_directory}.",
                f"There is no file {working_directory / what}.",
                "Push the file, or correct the deployment's entrypoint: it is relative to the pulled directory.",
            )
        return cls(directory, (directory / what).resolve())

    @property
    def directories_above(self) -> tuple[Path, ...]:
        """The directory of the flow's file and those above it, as far as the checkout reaches."""
        return directories_upwards(
            self.flow_file.parent if self.flow_file else self.working_directory, self.working_directory
        )

    def shown(self, path: Path) -> str:
        """A path as people know it: from the working directory."""
        return os.path.relpath(path, self.working_directory)


def directories_upwards(place: Path, working_directory: Path) -> tuple[Path, ...]:
    """A directory and those above it, up to the checkout's top; without a checkout, to the working directory."""
    chain = (place, *place.parents)
    top = _checkout(working_directory) or (working_directory if working_directory in chain else None)
    if top not in chain:
        top = _checkout(place) or place
    return chain[: chain.index(top) + 1]


def _checkout(place: Path) -> Path | None:
    """The top of the checkout that a directory is in; `.git` is a file in worktrees and submodules."""
    return next((parent for parent in (place, *place.parents) if (parent / ".git").exists()), None)


def _module(directory: Path, name: str, source_root: Sequence[str]) -> Path | None:
    """The file of a module: below the source roots, else the working directory, else a package's directory in it."""
    parts = name.split(".")
    if not all(parts):
        return None
    path = Path(*parts)
    for place in _module_places(directory, source_root):
        for file in (place / path.with_suffix(".py"), place / path / "__init__.py"):
            if file.is_file():
                return file.resolve()
    return None


def _module_places(directory: Path, source_root: Sequence[str]) -> Iterator[Path]:
    yield from (directory / root for root in source_root)
    yield from (directory / "src", directory)
    for pattern in ("*/pyproject.toml", "*/*/pyproject.toml"):
        for file in sorted(directory.glob(pattern)):
            yield from (file.parent / "src", file.parent)
