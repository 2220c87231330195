"""A pyproject.toml, as far as we have to know it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.errors import ProjectInvalidError
from prefect_uv.package_names import DEV, normalized
from prefect_uv.project.files.toml_tables import Table, strings, table_at

PYPROJECT = "pyproject.toml"
BACKENDS = {"hatchling.build": "hatchling", "setuptools.build_meta": "setuptools"}


@dataclass(frozen=True)
class Pyproject:
    """The document, and the directory that it is in."""

    directory: Path
    document: Table

    @classmethod
    def read(cls, directory: Path) -> Pyproject | None:
        """The pyproject.toml of a directory, if there is one.

        Raises:
            ProjectInvalidError: it is not TOML.
        """
        path = directory / PYPROJECT
        try:
            return cls(directory, tomllib.loads(path.read_text("utf-8-sig")))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError as error:
            raise ProjectInvalidError(f"{path} cannot be read.", str(error), "Mend it, commit, and push.") from None

    @property
    def is_project(self) -> bool:
        """Whether it has the table that makes it one: files with tool settings alone have none."""
        return "project" in self.document

    @property
    def is_workspace(self) -> bool:
        """Whether it is a workspace's root."""
        return "workspace" in self.uv

    @property
    def is_poetry(self) -> bool:
        """Whether its dependencies are in a table that only Poetry reads."""
        return not self.is_project and "poetry" in table_at(self.document, "tool")

    @property
    def uv(self) -> Table:
        """The table [tool.uv]."""
        return table_at(self.document, "tool", "uv")

    @property
    def name(self) -> str:
        """The project's normalized name, else the directory's."""
        return normalized(str(table_at(self.document, "project").get("name", self.directory.name)))

    @property
    def groups(self) -> set[str]:
        """The dependency groups that it defines."""
        own = {normalized(name) for name in table_at(self.document, "dependency-groups")}
        return own | ({DEV} if "dev-dependencies" in self.uv else set())

    @property
    def default_groups(self) -> set[str]:
        """The groups that uv installs unasked, without those for developers; `all` stands for every group."""
        named = self.uv.get("default-groups")
        return (self.groups if named == "all" else {normalized(name) for name in strings(named)}) - {DEV}

    @property
    def extras(self) -> set[str]:
        """The extras that it defines."""
        return {normalized(name) for name in table_at(self.document, "project", "optional-dependencies")}

    @property
    def requires_python(self) -> str:
        """The Python versions that it accepts."""
        return str(table_at(self.document, "project").get("requires-python", ""))

    @property
    def backend(self) -> str:
        """What builds it; empty for a project that is not a package (uv's rule)."""
        if not self.uv.get("package", "build-system" in self.document):
            return ""
        name = str(table_at(self.document, "build-system").get("build-backend", "setuptools.build_meta"))
        return BACKENDS.get(name, name.partition(".")[0])
