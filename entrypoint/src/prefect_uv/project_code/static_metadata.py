"""Metadata of local packages without a build, as far as their pyproject.toml states it.

A dynamic version is never guessed: only a build knows it. Poetry writes its own into `[tool.poetry]`:
https://python-poetry.org/docs/pyproject/#version

https://packaging.python.org/en/latest/specifications/core-metadata/
https://packaging.python.org/en/latest/specifications/entry-points/
https://packaging.python.org/en/latest/specifications/pyproject-toml/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from prefect_uv.cache_volume.full_disk import write_file
from prefect_uv.package_names import normalized
from prefect_uv.project.files.toml_tables import Table, strings, table_at
from prefect_uv.project.lockfile.local_packages import LocalPackage

SCRIPT_GROUPS = {"scripts": "console_scripts", "gui-scripts": "gui_scripts"}


def is_static(package: LocalPackage) -> bool:
    """Whether pyproject.toml states the name and the version."""
    project = _stated(package.document)
    return all(isinstance(project.get(key), str) for key in ("name", "version"))


def write_metadata(packages: Iterable[LocalPackage], directory: Path) -> None:
    """Write a `.dist-info` directory for each package, for `importlib.metadata` to find on the import path."""
    for package in packages:
        project = _stated(package.document)
        name = normalized(project["name"]).replace("-", "_")
        dist_info = directory / f"{name}-{project['version'].replace('-', '_')}.dist-info"
        dist_info.mkdir()
        write_file(dist_info / "METADATA", "".join(f"{line}\n" for line in _metadata(project)))
        write_file(dist_info / "INSTALLER", "prefect-uv\n")
        if text := "\n".join(_entry_points(project)):
            write_file(dist_info / "entry_points.txt", f"{text}\n")


def _stated(document: Table) -> Table:
    """The `[project]` table, with what a project of Poetry's states in `[tool.poetry]` instead."""
    project, poetry = table_at(document, "project"), table_at(document, "tool", "poetry")
    if not str(table_at(document, "build-system").get("build-backend")).startswith("poetry."):
        return project
    keys = {"name": "name", "version": "version", "scripts": "scripts", "entry-points": "plugins"}
    return {**{key: poetry[own] for key, own in keys.items() if own in poetry}, **project}


def _metadata(project: Table) -> Iterator[str]:
    yield from ("Metadata-Version: 2.1", f"Name: {project['name']}", f"Version: {project['version']}")
    if requires_python := project.get("requires-python"):
        yield f"Requires-Python: {requires_python}"
    yield from (f"Requires-Dist: {requirement}" for requirement in strings(project.get("dependencies")))
    for extra, requirements in table_at(project, "optional-dependencies").items():
        yield f"Provides-Extra: {extra}"
        yield from (f"Requires-Dist: {_with_extra(requirement, extra)}" for requirement in strings(requirements))


def _with_extra(requirement: str, extra: str) -> str:
    """The requirement with the marker `extra == …` added to its own."""
    package, _, marker = requirement.partition(";")
    condition = f"({marker.strip()}) and " if marker.strip() else ""
    return f"{package.strip()} ; {condition}extra == '{extra}'"


def _entry_points(project: Table) -> Iterator[str]:
    other_groups = table_at(project, "entry-points")
    groups = [(SCRIPT_GROUPS[key], table_at(project, key)) for key in SCRIPT_GROUPS] + [
        (group, table_at(other_groups, group)) for group in other_groups
    ]
    for group, entries in groups:
        if entries:
            yield f"[{group}]"
            yield from (f"{name} = {target}" for name, target in entries.items() if isinstance(target, str))
