"""Scripts with their requirements in a comment block (PEP 723)."""

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

PYTHON_SUFFIX = ".py"
# The expression of the specification.
# https://packaging.python.org/en/latest/specifications/inline-script-metadata/#reference-implementation
_BLOCK = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")


@dataclass(frozen=True)
class Script:
    """A Python file with a `# /// script` block.

    Attributes:
        path: the file.
        block: the text of the block. The code around it changes nothing that is installed.
        document: the TOML in the block.
    """

    path: Path
    block: str
    document: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path | None) -> Script | None:
        """Read a file; None if it is not such a script.

        Raises:
            ProjectInvalidError: it has two blocks, or one that is not TOML.
        """
        if path is None or path.suffix != PYTHON_SUFFIX:
            return None
        blocks = [
            match for match in _BLOCK.finditer(path.read_text("utf-8-sig", "replace")) if match["type"] == "script"
        ]
        if not blocks:
            return None
        if len(blocks) > 1:
            raise ProjectInvalidError(f"{path} has {len(blocks)} `# /// script` blocks.", hint="Keep only one of them.")
        lines = (line[2:] if line.startswith("# ") else line[1:] for line in blocks[0]["content"].splitlines())
        try:
            return cls(path, blocks[0][0], tomllib.loads("\n".join(lines)))
        except ValueError as error:
            headline = f"The `# /// script` block of {path} cannot be read."
            raise ProjectInvalidError(headline, str(error), "Fix it, commit, and push.") from None

    @property
    def input(self) -> tuple[str, bytes]:
        """The name and the part of the file that can change what is installed."""
        return f"/{self.path.name}", self.block.encode()

    @property
    def lock(self) -> Path:
        """The script's lockfile, whether it exists or not.

        uv 0.13.8: https://docs.astral.sh/uv/guides/scripts/#locking-dependencies
        """
        return self.path.with_name(f"{self.path.name}.lock")

    @property
    def pinned(self) -> set[str]:
        """The packages whose version its own lines fix; those with a source are not, because it may be a branch."""
        sources = {normalized(name) for name in table_at(self.document, "tool", "uv", "sources")}
        requirements = parse_requirements("\n".join(strings(self.document.get("dependencies"))))
        return {requirement.name for requirement in requirements if requirement.exact} - sources

    @property
    def requires_python(self) -> str:
        """The Python versions that the script accepts; empty if it does not say."""
        return str(self.document.get("requires-python", ""))
