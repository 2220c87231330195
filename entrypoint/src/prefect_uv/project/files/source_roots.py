"""Where a project's modules are imported from, by its layout and its static build settings.

- uv 0.13.8: `module-root`. https://docs.astral.sh/uv/concepts/build-backend/#modules
- hatchling: `dev-mode-dirs`, `packages`, `sources`. https://hatch.pypa.io/latest/config/build/
- setuptools: `package-dir`, `packages.find.where`. https://setuptools.pypa.io/en/latest/userguide/pyproject_config.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from prefect_uv.errors import SourceRootMissingError
from prefect_uv.project.files.toml_tables import Table, strings, table_at

SRC = "src"


def source_roots(directory: Path, document: Table) -> tuple[Path, ...]:
    """The source roots of a project: those of its build settings, else `src` if it exists, else the directory itself.

    Args:
        directory: the project's.
        document: its parsed pyproject.toml.
    """
    configured = (directory / name for name in _configured_roots(document))
    if existing := tuple(dict.fromkeys(path for path in configured if path.is_dir())):
        return existing
    src = directory / SRC
    return (src if src.is_dir() else directory,)


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


def _configured_roots(document: Table) -> Iterator[str]:
    backend = str(table_at(document, "build-system").get("build-backend", "setuptools")).partition(".")[0]
    if backend in _BACKENDS:
        yield from _BACKENDS[backend](table_at(document, "tool"))


def _uv_build_roots(tool: Table) -> Iterator[str]:
    yield from strings([table_at(tool, "uv", "build-backend").get("module-root", SRC)])


def _hatchling_roots(tool: Table) -> Iterator[str]:
    """What an editable installation puts on the path, and what the wheel strips from the paths of its packages."""
    build = table_at(tool, "hatch", "build")
    settings = {**build, **table_at(build, "targets", "wheel")}
    yield from strings(settings.get("dev-mode-dirs"))
    yield from (str(PurePosixPath(package).parent) for package in strings(settings.get("packages")))
    sources = settings.get("sources")
    pairs = sources.items() if isinstance(sources, Mapping) else ((source, "") for source in strings(sources))
    yield from (root for source, target in pairs for root in _parent_if_named(source, target))


def _setuptools_roots(tool: Table) -> Iterator[str]:
    settings = table_at(tool, "setuptools")
    packages, package_dir = settings.get("packages"), table_at(settings, "package-dir")
    for name, path in package_dir.items():
        yield from _parent_if_named(path, name.replace(".", "/"))
    if isinstance(packages, Mapping):
        yield from strings(table_at(packages, "find").get("where"))
    elif packages and not package_dir:
        yield "."


def _parent_if_named(path: object, name: object) -> Iterator[str]:
    """Yield `lib` for `lib/etl` and the name `etl`; nothing if the path does not end in the name or is not a string."""
    if not isinstance(path, str) or not isinstance(name, str):
        return
    parts, end = PurePosixPath(path).parts, PurePosixPath(name).parts
    if parts[len(parts) - len(end) :] == end:
        yield str(PurePosixPath(*parts[: len(parts) - len(end)]))


_BACKENDS: Mapping[str, Callable[[Table], Iterator[str]]] = {
    "uv_build": _uv_build_roots,
    "hatchling": _hatchling_roots,
    "setuptools": _setuptools_roots,
}
