"""A checkout without a project, to which tests add files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.checkouts import Checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A flow in a directory below the top."""
    made = Checkout(tmp_path / "code", tmp_path)
    made.write(".git/HEAD", "")
    made.write("flows/daily.py", "")
    return made
