"""What the build settings of a package say about its modules, and what all build backends have in common."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

SRC = "src"


@dataclass(frozen=True)
class Layout:
    """Where an editable installation would import a package's modules from.

    Attributes:
        roots: directories, relative to the project's; none if the settings name none.
        build_reason: why these directories do not suffice, so that the package has to be built; empty if they do.
    """

    roots: tuple[str, ...] = ()
    build_reason: str = ""

    @classmethod
    def of_mapping(cls, pairs: Iterable[tuple[object, object]], others: Iterable[str] = ()) -> Layout:
        """The layout for pairs of a path and the path that an installation gives it.

        Args:
            pairs: both relative; those that are not strings are left to the build backend to report.
            others: more source roots, which come first.
        """
        roots, renamed = list(others), []
        for path, name in pairs:
            if isinstance(path, str) and isinstance(name, str):
                if root := _parent_if_named(path, name):
                    roots.append(root)
                else:
                    renamed.append(f"{path or '.'} is installed as {name or '.'}")
        return cls(tuple(roots), ", ".join(renamed))


def module_root(directory: Path, name: str) -> tuple[str, ...]:
    """`.` or `src`, whichever has a package or a module of this dotted name; empty if neither has."""
    path = name.replace(".", "/")
    found = (root for root in (".", SRC) for end in ("", ".py") if is_present(directory / root / f"{path}{end}"))
    return tuple(found)[:1]


def is_present(path: Path) -> bool:
    """Whether there is a file or a directory; False for a path that no file can have."""
    return os.path.exists(path)  # noqa: PTH110 (it raises nothing)


def _parent_if_named(path: str, name: str) -> str:
    """`lib` for `lib/etl` and the name `etl`; empty if the path does not end in the name."""
    parts, end = PurePosixPath(path).parts, PurePosixPath(name).parts
    parent, rest = parts[: len(parts) - len(end)], parts[len(parts) - len(end) :]
    return str(PurePosixPath(*parent)) if rest == end else ""
