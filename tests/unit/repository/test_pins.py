"""Every example and test project has the version of Prefect in images/family.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
SUFFIXES = {".toml", ".py", ".txt", ".in"}
PREFECT = re.compile(r"""^(?:.*["'])?prefect(?:-client)?(==[0-9.]+)""", re.MULTILINE)
FILES = [
    path
    for folder in ("examples", "tests/projects")
    for path in sorted((REPOSITORY / folder).glob("*/**/*"))
    if path.suffix in SUFFIXES and ".venv" not in path.parts and PREFECT.search(path.read_text())
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_project_has_the_pinned_prefect(path: Path) -> None:
    """An example or test project that depends on Prefect depends on the pinned version."""
    pinned = tomllib.loads((REPOSITORY / "images" / "family.toml").read_text())["pins"]["prefect"]
    assert set(PREFECT.findall(path.read_text())) == {pinned}
