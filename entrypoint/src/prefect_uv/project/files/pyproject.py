"""The parts of a pyproject.toml that decide which project it is and what uv selects from it."""

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
    """A parsed pyproject.toml, and the directory that it is in."""

    directory: Path
    document: Table

    @classmethod
    def read(cls, directory: Path) -> Pyproject | None:
        """Read the pyproject.toml of a directory; None if there is none.

        Raises:
            ProjectInvalidError: it is not TOML.
        """
        path = directory / PYPROJECT
        try:
            return cls(directory, tomllib.loads(path.read_text("utf-8-sig")))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError as error:
            raise ProjectInvalidError(f"{path} cannot be read.", str(error), "Fix it, commit, and push.") from None

    @property
    def is_project(self) -> bool:
        """Whether it has a [project] table; files with tool settings only have none."""
        return "project" in self.document

    @property
    def is_workspace(self) -> bool:
        """Whether it is the root of a uv workspace."""
        return "workspace" in self.uv

    @property
    def is_poetry(self) -> bool:
        """Whether its dependencies are in [tool.poetry], which only Poetry reads."""
        return not self.is_project and "poetry" in table_at(self.document, "tool")

    @property
    def uv(self) -> Table:
        """The table [tool.uv]."""
        return table_at(self.document, "tool", "uv")

    @property
    def name(self) -> str:
        """The project's normalized name, or that of the directory if it has none."""
        return normalized(str(table_at(self.document, "project").get("name", self.directory.name)))

    @property
    def groups(self) -> set[str]:
        """The normalized names of the dependency groups that it defines, the legacy one included.

        uv 0.13.8: https://docs.astral.sh/uv/concepts/projects/dependencies/#legacy-dev-dependencies
        """
        own = {normalized(name) for name in table_at(self.document, "dependency-groups")}
        return own | ({DEV} if "dev-dependencies" in self.uv else set())

    @property
    def default_groups(self) -> set[str]:
        """The groups that uv installs by default, except `dev`, which we never install by default.

        uv 0.13.8: https://docs.astral.sh/uv/concepts/projects/dependencies/#default-groups
        """
        default = self.uv.get("default-groups")
        return (self.groups if default == "all" else {normalized(name) for name in strings(default)}) - {DEV}

    @property
    def extras(self) -> set[str]:
        """The normalized names of the extras that it defines."""
        return {normalized(name) for name in table_at(self.document, "project", "optional-dependencies")}

    @property
    def requires_python(self) -> str:
        """The Python versions that it accepts; empty if it does not say."""
        return str(table_at(self.document, "project").get("requires-python", ""))

    @property
    def backend(self) -> str:
        """A short name of its build backend, by default setuptools; empty if it is not a package.

        uv 0.13.8: https://docs.astral.sh/uv/concepts/projects/config/#project-packaging
        """
        if not self.uv.get("package", "build-system" in self.document):
            return ""
        name = str(table_at(self.document, "build-system").get("build-backend", "setuptools.build_meta"))
        return BACKENDS.get(name, name.partition(".")[0])
