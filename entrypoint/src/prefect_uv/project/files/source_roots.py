"""Where a project's modules are imported from, by its layout and by what its build settings say statically.

Sources: uv's `tool.uv.build-backend`, hatch's "Build configuration" (`dev-mode-dirs`, `packages`, `sources`) and
setuptools' "pyproject.toml configuration" (`package-dir`, `packages.find.where`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from prefect_uv.errors import SourceRootMissingError
from prefect_uv.project.files.toml_tables import Table, strings, table_at

SRC = "src"


def source_roots(directory: Path, document: Table) -> tuple[Path, ...]:
    """The directories that the build settings name, else `src` where there is one, else the directory itself."""
    named = (directory / name for name in _named(document))
    found = tuple(dict.fromkeys(path for path in named if path.is_dir()))
    if found:
        return found
    src = directory / SRC
    return (src if src.is_dir() else directory,)


def chosen_roots(base: Path, names: Iterable[str]) -> tuple[Path, ...]:
    """The directories of PREFECT_UV_SOURCE_ROOT, below the pulled code.

    Raises:
        SourceRootMissingError: one of them does not exist.
    """
    roots = tuple(base / name for name in names)
    missing = [str(root) for root in roots if not root.is_dir()]
    if missing:
        raise SourceRootMissingError(
            f"PREFECT_UV_SOURCE_ROOT names a directory that is not in {base}.",
            f"There is no directory {', '.join(missing)}.",
            "Name directories relative to the pulled code, as `src` or `packages/etl/src`, separated by commas.",
        )
    return roots


def _named(document: Table) -> Iterator[str]:
    backend = str(table_at(document, "build-system").get("build-backend", "setuptools")).partition(".")[0]
    if backend in _BACKENDS:
        yield from _BACKENDS[backend](table_at(document, "tool"))


def _uv_build(tool: Table) -> Iterator[str]:
    yield from strings([table_at(tool, "uv", "build-backend").get("module-root", SRC)])


def _hatchling(tool: Table) -> Iterator[str]:
    """What an editable installation would put on the path, or what the wheel strips from its packages' paths."""
    build = table_at(tool, "hatch", "build")
    settings = {**build, **table_at(build, "targets", "wheel")}
    yield from strings(settings.get("dev-mode-dirs"))
    yield from (str(PurePosixPath(package).parent) for package in strings(settings.get("packages")))
    sources = settings.get("sources")
    pairs = sources.items() if isinstance(sources, Mapping) else ((source, "") for source in strings(sources))
    yield from (root for source, target in pairs for root in _above(source, target))


def _setuptools(tool: Table) -> Iterator[str]:
    settings = table_at(tool, "setuptools")
    packages, places = settings.get("packages"), table_at(settings, "package-dir")
    for name, place in places.items():
        yield from _above(place, name.replace(".", "/"))
    if isinstance(packages, Mapping):
        yield from strings(table_at(packages, "find").get("where"))
    elif packages and not places:
        yield "."


def _above(place: object, name: object) -> Iterator[str]:
    """The directory in which a place has that name; none when the build gives it another one, or no text."""
    if not isinstance(place, str) or not isinstance(name, str):
        return
    path, parts = PurePosixPath(place).parts, PurePosixPath(name).parts
    if path[len(path) - len(parts) :] == parts:
        yield str(PurePosixPath(*path[: len(path) - len(parts)]))


_BACKENDS: Mapping[str, Callable[[Table], Iterator[str]]] = {
    "uv_build": _uv_build,
    "hatchling": _hatchling,
    "setuptools": _setuptools,
}
