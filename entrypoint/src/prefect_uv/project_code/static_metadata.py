"""Metadata of local packages without building them, as far as their pyproject.toml states it.

Sources: "Core metadata", "Entry points" and "pyproject.toml" of the Python packaging specifications. A version that is
dynamic is never guessed: only a build knows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from prefect_uv.package_names import normalized
from prefect_uv.project.files.toml_tables import Table, strings, table_at
from prefect_uv.project.lockfile.local_packages import LocalPackage

GROUPS = {"scripts": "console_scripts", "gui-scripts": "gui_scripts"}


def is_static(package: LocalPackage) -> bool:
    """Whether name and version are written down."""
    project = table_at(package.document, "project")
    return all(isinstance(project.get(key), str) for key in ("name", "version"))


def write_metadata(packages: Iterable[LocalPackage], place: Path) -> None:
    """A `dist-info` for each, for `importlib.metadata` to find on the import path."""
    for package in packages:
        project = table_at(package.document, "project")
        name = normalized(project["name"]).replace("-", "_")
        directory = place / f"{name}-{project['version'].replace('-', '_')}.dist-info"
        directory.mkdir()
        (directory / "METADATA").write_text("".join(f"{line}\n" for line in _metadata(project)))
        (directory / "INSTALLER").write_text("prefect-uv\n")
        if text := "\n".join(_entry_points(project)):
            (directory / "entry_points.txt").write_text(f"{text}\n")


def _metadata(project: Table) -> Iterator[str]:
    yield from ("Metadata-Version: 2.1", f"Name: {project['name']}", f"Version: {project['version']}")
    if requires_python := project.get("requires-python"):
        yield f"Requires-Python: {requires_python}"
    yield from (f"Requires-Dist: {requirement}" for requirement in strings(project.get("dependencies")))
    for extra, requirements in table_at(project, "optional-dependencies").items():
        yield f"Provides-Extra: {extra}"
        yield from (f"Requires-Dist: {_with_extra(requirement, extra)}" for requirement in strings(requirements))


def _with_extra(requirement: str, extra: str) -> str:
    what, _, marker = requirement.partition(";")
    own = f"({marker.strip()}) and " if marker.strip() else ""
    return f"{what.strip()} ; {own}extra == '{extra}'"


def _entry_points(project: Table) -> Iterator[str]:
    groups = table_at(project, "entry-points")
    named = [(GROUPS[key], table_at(project, key)) for key in GROUPS] + [
        (group, table_at(groups, group)) for group in groups
    ]
    for group, entries in named:
        if entries:
            yield f"[{group}]"
            yield from (f"{name} = {target}" for name, target in entries.items() if isinstance(target, str))
