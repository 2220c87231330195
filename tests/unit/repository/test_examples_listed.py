"""Every example is explained, listed and tested."""

from __future__ import annotations

import pytest

from images.family import ROOT

EXAMPLES = sorted(path.name for path in (ROOT / "examples").iterdir() if path.is_dir() and path.name != "__pycache__")
TESTS = "\n".join(path.read_text() for path in sorted((ROOT / "tests" / "examples").glob("*.py")))


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_is_explained_listed_and_tested(name: str) -> None:
    """Each example has a README, a row in the repository's README, and a test that names it."""
    assert (ROOT / "examples" / name / "README.md").read_text().startswith(f"# {name}\n")
    assert f"| [{name}](examples/{name}) |" in (ROOT / "README.md").read_text()
    assert f'"{name}"' in TESTS
