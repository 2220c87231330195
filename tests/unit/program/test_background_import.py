"""Modules are imported in a background thread."""

from __future__ import annotations

import sys
import threading
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from prefect_uv.processes.background_import import importing_in_background


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
    started, released = (threading.Event() for _ in range(2))
    (tmp_path / "held_up.py").write_text("import held_up_events as e; e.started.set(); e.released.wait(30)")
    monkeypatch.syspath_prepend(tmp_path)
    events = ModuleType("held_up_events")
    monkeypatch.setitem(sys.modules, events.__name__, events)
    vars(events).update(started=started, released=released)
    with pytest.raises(ZeroDivisionError), importing_in_background("held_up"):
        _ = started.wait(30) and 1 / 0
    importing = [thread.name for thread in threading.enumerate()]
    released.set()
    assert "imports" in importing


def test_failing_import_is_reported_where_the_module_is_used() -> None:
    """The thread says nothing: pytest turns an exception in a thread into an error."""
    with importing_in_background("no_such_module"):
        pass
    with pytest.raises(ModuleNotFoundError):
        import_module("no_such_module")
