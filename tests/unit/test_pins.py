"""One list of pins: nothing in the repository names another Prefect than images/family.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PROJECTS = sorted([*REPOSITORY.glob("examples/*/pyproject.toml"), *REPOSITORY.glob("tests/projects/*/pyproject.toml")])


@pytest.mark.parametrize("path", PROJECTS, ids=lambda path: path.parent.name)
def test_project_has_the_pinned_prefect(path: Path) -> None:
    """An example or test project that depends on Prefect depends on the pinned version."""
    pinned = tomllib.loads((REPOSITORY / "images" / "family.toml").read_text())["pins"]["prefect"]
    dependencies = tomllib.loads(path.read_text())["project"]["dependencies"]
    assert [each for each in dependencies if each.startswith("prefect=")] in ([], [f"prefect{pinned}"])
