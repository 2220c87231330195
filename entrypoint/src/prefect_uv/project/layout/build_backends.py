"""The build backends whose settings are read here; all others have to build.

- uv_build, uv 0.13.8: `module-root`. https://docs.astral.sh/uv/concepts/build-backend/#modules
- flit_core 3.12 and 4.2: `Module`. https://github.com/pypa/flit/blob/3.12.0/flit_core/flit_core/common.py
- pdm-backend 2.5: `package-dir`. https://backend.pdm-project.org/build_config/
- poetry-core 2.5: `packages`. https://python-poetry.org/docs/pyproject/#packages
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from prefect_uv.package_names import normalized
from prefect_uv.project.files.toml_tables import Table, strings, table_at
from prefect_uv.project.layout.hatchling import hatchling_layout
from prefect_uv.project.layout.layout import SRC, Layout, module_root
from prefect_uv.project.layout.setuptools_files import setuptools_layout


def layout_of(directory: Path, document: Table) -> Layout:
    """The layout of a package by its build settings.

    Args:
        directory: the project's.
        document: its parsed pyproject.toml.
    """
    build_system = table_at(document, "build-system")
    backend = str(build_system.get("build-backend", "setuptools"))
    if "backend-path" in build_system:
        return Layout(build_reason=f"it has a build backend of its own, {backend}")
    if read := _BACKENDS.get(backend.partition(".")[0]):
        return read(directory, document)
    return Layout(build_reason=f"only a build with {backend} knows its modules")


def _uv_build_layout(_directory: Path, document: Table) -> Layout:
    return Layout(tuple(strings([table_at(document, "tool", "uv", "build-backend").get("module-root", SRC)])))


def _flit_layout(directory: Path, document: Table) -> Layout:
    flit = table_at(document, "tool", "flit")
    old = table_at(flit, "metadata").get("module", "")
    name = table_at(flit, "module").get("name") or table_at(document, "project").get("name") or old
    return Layout(module_root(directory, str(name).replace("-", "_")))


def _pdm_layout(directory: Path, document: Table) -> Layout:
    settings = table_at(document, "tool", "pdm", "build")
    if "custom-hook" in settings or "run-setuptools" in settings or (directory / "pdm_build.py").is_file():
        return Layout(build_reason="it has a build hook")
    if "write_to" in table_at(document, "tool", "pdm", "version"):
        return Layout(build_reason="its build writes its version into a file")
    included = strings(settings.get("includes"))
    default = "." if included and not any(path.startswith(f"{SRC}/") or path == SRC for path in included) else SRC
    return Layout(tuple(strings([settings.get("package-dir", default)])))


def _poetry_layout(directory: Path, document: Table) -> Layout:
    poetry = table_at(document, "tool", "poetry")
    if poetry.get("build"):
        return Layout(build_reason="it has a build script")
    packages = poetry.get("packages")
    if isinstance(packages, list) and packages:
        tables = [table for table in packages if isinstance(table, Mapping)]
        moved = [(table.get("include"), f"{table['to']}/{table.get('include')}") for table in tables if table.get("to")]
        return Layout.of_mapping(moved, strings([table.get("from", ".") for table in tables if not table.get("to")]))
    name = str(table_at(document, "project").get("name") or poetry.get("name", ""))
    return Layout(module_root(directory, normalized(name).replace("-", "_")))


_BACKENDS: Mapping[str, Callable[[Path, Table], Layout]] = {
    "flit_core": _flit_layout,
    "hatchling": hatchling_layout,
    "pdm": _pdm_layout,
    "poetry": _poetry_layout,
    "setuptools": setuptools_layout,
    "uv_build": _uv_build_layout,
}
