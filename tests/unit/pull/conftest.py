"""Fixtures of the tests of pull steps."""

from __future__ import annotations

import pytest

from prefect_uv.pull.git import git_commands as git_module


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry without a pause."""
    monkeypatch.setattr(git_module, "BACKOFF_SECONDS", 0)
