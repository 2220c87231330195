"""Imports in a thread of their own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from prefect_uv.background_import import importing_in_background


def test_modules_are_there_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever took longer, the import or what was done meanwhile; the interpreter's switching is as before."""
    (tmp_path / "slow_to_import.py").write_text("import time; time.sleep(0.2)")
    monkeypatch.syspath_prepend(tmp_path)
    before = sys.getswitchinterval()
    with importing_in_background("slow_to_import"):
        assert sys.getswitchinterval() < before
    assert "slow_to_import" in sys.modules
    assert sys.getswitchinterval() == before


def test_what_stops_meanwhile_does_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of a phase comes up while the import is still under way."""
    done = tmp_path / "done"
    (tmp_path / "held_up.py").write_text(f"import time; time.sleep(3); open({str(done)!r}, 'w').close()")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ZeroDivisionError), importing_in_background("held_up"):
        raise ZeroDivisionError
    assert not done.exists()
