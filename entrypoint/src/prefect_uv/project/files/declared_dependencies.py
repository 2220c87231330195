"""The dependencies that a directory's project declares, by name, whichever tool reads them.

A name counts only if the package is always installed: not in an extra, and not for some platforms only.

Poetry 2.5: https://python-poetry.org/docs/dependency-specification/
Pipenv 2026.10: https://pipenv.pypa.io/en/latest/pipfile.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.package_names import normalized
from prefect_uv.project.files.pyproject import PYPROJECT, Pyproject
from prefect_uv.project.files.requirement_lines import parse_requirements
from prefect_uv.project.files.toml_tables import Table, read_toml, strings, table_at

PIPFILE = "Pipfile"
POETRY, PIPENV = "Poetry", "Pipenv"
_UNCONDITIONAL = {
    *("version", "path", "git", "url", "file", "extras", "editable", "develop", "source", "index"),
    *("branch", "tag", "rev", "ref", "subdirectory", "allow-prereleases"),
}


@dataclass(frozen=True)
class Declaration:
    """A file that declares dependencies.

    Attributes:
        file: a pyproject.toml or a Pipfile.
        reader: the only tool that reads them there; empty if they are in a [project] table.
        names: the normalized names.
    """

    file: Path
    reader: str
    names: frozenset[str]

    @classmethod
    def of(cls, directory: Path) -> Declaration | None:
        """The declaration in a directory; None without a [project] table and without dependencies for other tools.

        Raises:
            ProjectInvalidError: its pyproject.toml is not TOML.
        """
        pyproject = Pyproject.read(directory)
        document = pyproject.document if pyproject else {}
        poetry = frozenset(_named(table_at(document, "tool", "poetry", "dependencies"))) - {"python"}
        if pyproject and pyproject.is_project:
            lines = [line for line in strings(table_at(document, "project").get("dependencies")) if ";" not in line]
            names = {requirement.name for requirement in parse_requirements("\n".join(lines))}
            return cls(directory / PYPROJECT, "", poetry | names)
        if poetry:
            return cls(directory / PYPROJECT, POETRY, poetry)
        packages = frozenset(_named(table_at(read_toml(directory / PIPFILE), "packages")))
        return cls(directory / PIPFILE, PIPENV, packages) if packages else None


def _named(table: Table) -> Iterator[str]:
    """The names in a table of Poetry or Pipenv whose values are versions, or tables without conditions."""
    for name, value in table.items():
        if isinstance(value, str) or (isinstance(value, Mapping) and value.keys() <= _UNCONDITIONAL):
            yield normalized(name)
