"""Modules are imported in a background thread."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from prefect_uv.background_import import importing_in_background


def test_modules_are_imported_after_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of the block waits for a slow import, and the interpreter's switch interval is restored."""
    (tmp_path / "slow_to_import.py").write_text("import time; time.sleep(0.2)")
    monkeypatch.syspath_prepend(tmp_path)
    before = sys.getswitchinterval()
    with importing_in_background("slow_to_import"):
        assert sys.getswitchinterval() < before
    assert "slow_to_import" in sys.modules
    assert sys.getswitchinterval() == before


def test_failing_block_does_not_wait_for_the_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in the block is raised while the import is still running."""
    done = tmp_path / "done"
    (tmp_path / "held_up.py").write_text(f"import time; time.sleep(3); open({str(done)!r}, 'w').close()")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ZeroDivisionError), importing_in_background("held_up"):
        raise ZeroDivisionError
    assert not done.exists()
