"""Where the search begins: the flow's file, and the directories from there up to the top of the checkout."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.errors import FlowFileMissingError


@dataclass(frozen=True)
class FlowLocation:
    """The working directory, and the flow's file if it is known.

    Attributes:
        working_directory: the directory that the pull steps ended in.
        flow_file: the entrypoint's file; None if only Python can find the module.
    """

    working_directory: Path
    flow_file: Path | None = None

    @classmethod
    def of(cls, working_directory: Path, entrypoint: str | None, source_root: Sequence[str]) -> FlowLocation:
        """Locate an entrypoint: `path/to/file.py:function`, `module.path:function` or `module.path.function`.

        Prefect 3.8.8: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/flows.py
        (`load_flow_from_entrypoint`)

        Raises:
            FlowFileMissingError: the file does not exist.
        """
        directory = working_directory.resolve()
        target = (entrypoint or "").rpartition(":" if ":" in (entrypoint or "") else ".")[0]
        if not target.endswith(".py"):
            return cls(directory, _module_file(directory, target, source_root) if target else None)
        if not (directory / target).is_file():
            raise FlowFileMissingError(
                f"The deployment's entrypoint {entrypoint} is not in {working_directory}.",
                f"There is no file {working_directory / target}.",
                "Push the file, or correct the deployment's entrypoint, which is relative to the pulled directory.",
            )
        return cls(directory, (directory / target).resolve())

    @property
    def search_directories(self) -> tuple[Path, ...]:
        """The directory of the flow's file, or else the working directory, and those above it in the checkout."""
        return directories_upwards(
            self.flow_file.parent if self.flow_file else self.working_directory, self.working_directory
        )

    def name_of(self, file: Path) -> str:
        """The name of a project that has none of its own: its file, and the directory that the pull steps ended in."""
        return f"{self.working_directory.name}/{self.display_path(file)}"

    def display_path(self, path: Path) -> str:
        """A path as messages show it: relative to the working directory."""
        return os.path.relpath(path, self.working_directory)


def directories_upwards(directory: Path, working_directory: Path) -> tuple[Path, ...]:
    """A directory and those above it, up to the top of the checkout or, without a checkout, the working directory."""
    chain = (directory, *directory.parents)
    top = _checkout_top(working_directory) or (working_directory if working_directory in chain else None)
    if top not in chain:
        top = _checkout_top(directory) or directory
    return chain[: chain.index(top) + 1]


def _checkout_top(directory: Path) -> Path | None:
    """The top of the checkout that a directory is in, or None.

    git 2.47: `.git` is a file in worktrees and submodules. https://git-scm.com/docs/gitrepository-layout
    """
    return next((parent for parent in (directory, *directory.parents) if (parent / ".git").exists()), None)


def _module_file(directory: Path, name: str, source_root: Sequence[str]) -> Path | None:
    """The file of a module, or None: in the source roots, in the working directory, or in a package below it."""
    parts = name.split(".")
    if not all(parts):
        return None
    path = Path(*parts)
    for parent in _module_directories(directory, source_root):
        for file in (parent / path.with_suffix(".py"), parent / path / "__init__.py"):
            if file.is_file():
                return file.resolve()
    return None


def _module_directories(directory: Path, source_root: Sequence[str]) -> Iterator[Path]:
    yield from (directory / root for root in source_root)
    yield from (directory / "src", directory)
    for pattern in ("*/pyproject.toml", "*/*/pyproject.toml"):
        for file in sorted(directory.glob(pattern)):
            yield from (file.parent / "src", file.parent)
