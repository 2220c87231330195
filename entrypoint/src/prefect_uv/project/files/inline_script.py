"""Scripts with their requirements in a comment (PEP 723)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect_uv.errors import ProjectInvalidError
from prefect_uv.package_names import normalized
from prefect_uv.project.files.requirement_lines import parse_requirements
from prefect_uv.project.files.toml_tables import strings, table_at

PYTHON = ".py"
# The expression of the specification: https://packaging.python.org/specifications/inline-script-metadata/
_BLOCK = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")


@dataclass(frozen=True)
class Script:
    """A Python file with such a comment.

    Attributes:
        path: the file.
        block: the comment as it is in the file: the code around it changes nothing that is installed.
        document: the TOML in it.
    """

    path: Path
    block: str
    document: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path | None) -> Script | None:
        """The script in a file, if it is one.

        Raises:
            ProjectInvalidError: it has two comments of the kind, or one that is not TOML.
        """
        if path is None or path.suffix != PYTHON:
            return None
        found = [
            match for match in _BLOCK.finditer(path.read_text("utf-8-sig", "replace")) if match["type"] == "script"
        ]
        if not found:
            return None
        if len(found) > 1:
            raise ProjectInvalidError(f"{path} has {len(found)} blocks `# /// script`.", hint="Leave one of them.")
        lines = (line[2:] if line.startswith("# ") else line[1:] for line in found[0]["content"].splitlines())
        try:
            return cls(path, found[0][0], tomllib.loads("\n".join(lines)))
        except ValueError as error:
            headline = f"The block `# /// script` of {path} cannot be read."
            raise ProjectInvalidError(headline, str(error), "Mend it, commit, and push.") from None

    @property
    def input(self) -> tuple[str, bytes]:
        """What of it can change what is installed."""
        return f"/{self.path.name}", self.block.encode()

    @property
    def lock(self) -> Path:
        """Its lock, as `uv lock --script` names it."""
        return self.path.with_name(f"{self.path.name}.lock")

    @property
    def pinned(self) -> set[str]:
        """The packages of which its own lines name one version; sources may be branches."""
        sources = {normalized(name) for name in table_at(self.document, "tool", "uv", "sources")}
        found = parse_requirements("\n".join(strings(self.document.get("dependencies"))))
        return {item.name for item in found if item.exact} - sources

    @property
    def requires_python(self) -> str:
        """The Python versions that it accepts."""
        return str(self.document.get("requires-python", ""))
