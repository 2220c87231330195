"""A pyproject.toml, as far as we have to know it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect_uv.errors import ProjectInvalidError

NAME = "pyproject.toml"
DEV = "dev"
BACKENDS = {"hatchling.build": "hatchling", "setuptools.build_meta": "setuptools"}


def normalized(name: str) -> str:
    """A name as packages, groups and extras are compared (PEP 503, PEP 685, PEP 735)."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True)
class Pyproject:
    """The document, and the directory that it is in."""

    directory: Path
    document: Mapping[str, Any]

    @classmethod
    def read(cls, directory: Path) -> Pyproject | None:
        """The pyproject.toml of a directory, if there is one.

        Raises:
            ProjectInvalidError: it is not TOML.
        """
        path = directory / NAME
        try:
            return cls(directory, tomllib.loads(path.read_text("utf-8-sig")))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError as error:
            raise ProjectInvalidError(f"{path} cannot be read.", str(error), "Mend it, commit, and push.") from None

    @property
    def project(self) -> Mapping[str, Any] | None:
        """The table that makes it a project: files with tool settings alone have none."""
        return self.document.get("project")

    @property
    def uv(self) -> Mapping[str, Any]:
        """The table [tool.uv]."""
        table: Mapping[str, Any] = self.document.get("tool", {}).get("uv", {})
        return table

    @property
    def name(self) -> str:
        """The project's normalized name, else the directory's."""
        return normalized(str((self.project or {}).get("name", self.directory.name)))

    @property
    def groups(self) -> set[str]:
        """The dependency groups that it defines."""
        own = {normalized(name) for name in self.document.get("dependency-groups", {})}
        return own | ({DEV} if "dev-dependencies" in self.uv else set())

    @property
    def default_groups(self) -> set[str]:
        """The groups that uv installs unasked, without those for developers; `all` stands for every group."""
        named = self.uv.get("default-groups", [])
        return (self.groups if named == "all" else {normalized(name) for name in named}) - {DEV}

    @property
    def extras(self) -> set[str]:
        """The extras that it defines."""
        return {normalized(name) for name in (self.project or {}).get("optional-dependencies", {})}

    @property
    def requires_python(self) -> str:
        """The Python versions that it accepts."""
        return str((self.project or {}).get("requires-python", ""))

    @property
    def is_poetry(self) -> bool:
        """Whether its dependencies are in a table that only Poetry reads."""
        return self.project is None and "poetry" in self.document.get("tool", {})

    @property
    def backend(self) -> str:
        """What builds it; empty for a project that is not a package (uv's rule)."""
        system = self.document.get("build-system")
        if not self.uv.get("package", system is not None):
            return ""
        name = str((system or {}).get("build-backend", "setuptools.build_meta"))
        return BACKENDS.get(name, name.partition(".")[0])
