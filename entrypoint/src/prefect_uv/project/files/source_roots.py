"""Where a project's modules are imported from: by its build settings, by its layout, or by a job variable."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from prefect_uv.errors import SourceRootMissingError
from prefect_uv.project.files.toml_tables import Table
from prefect_uv.project.layout.build_backends import layout_of
from prefect_uv.project.layout.layout import SRC


def source_roots(directory: Path, document: Table) -> tuple[Path, ...]:
    """The source roots of a project: those of its build settings, else `src` if it exists, else the directory itself.

    The `src` of a project that uv would not build may be a package, which code imports by that name.

    Args:
        directory: the project's.
        document: its parsed pyproject.toml.
    """
    configured = (directory / name for name in layout_of(directory, document).roots)
    if existing := tuple(dict.fromkeys(path for path in configured if os.path.isdir(path))):  # noqa: PTH112 (it raises nothing)
        return existing
    src = directory / SRC
    is_package = "build-system" not in document and (src / "__init__.py").is_file()
    return (src if src.is_dir() and not is_package else directory,)


def has_src_layout(directory: Path, document: Table) -> bool:
    """Whether a project's modules are imported from `src`; False if only a build knows where they are."""
    return not layout_of(directory, document).build_reason and source_roots(directory, document) == (directory / SRC,)


def chosen_roots(base: Path, names: Iterable[str]) -> tuple[Path, ...]:
    """The directories that PREFECT_UV_SOURCE_ROOT names, relative to `base`.

    Raises:
        SourceRootMissingError: a directory does not exist.
    """
    roots = tuple(base / name for name in names)
    missing = [str(root) for root in roots if not root.is_dir()]
    if missing:
        raise SourceRootMissingError(
            f"PREFECT_UV_SOURCE_ROOT names a directory that is not in {base}.",
            f"Missing: {', '.join(missing)}.",
            "List directories relative to the pulled code, such as `src` or `packages/etl/src`, separated by commas.",
        )
    return roots
