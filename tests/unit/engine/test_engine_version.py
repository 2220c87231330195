"""Engine versions and what they support, and explanations of exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_uv.engine import exit_codes
from prefect_uv.engine.engine_version import EngineVersion
from prefect_uv.engine.exit_codes import explain_exit_code


@pytest.mark.parametrize(
    ("version", "flow_engine", "crashed_hooks", "cancel", "reschedule"),
    [
        ("3.0.11", False, False, False, False),
        ("3.1.12", False, True, False, False),
        ("3.6.26", False, True, False, False),
        ("3.6.27", False, True, True, False),
        ("3.8.0", True, True, True, False),
        ("3.8.1", True, True, True, True),
        ("3.10.0rc1", True, True, True, True),
        ("4.0", True, True, True, True),
    ],
)
def test_capabilities(version: str, flow_engine: bool, crashed_hooks: bool, cancel: bool, reschedule: bool) -> None:  # noqa: FBT001
    """Versions are compared as numbers, and a later version supports at least as much."""
    engine = EngineVersion.of(version)
    assert engine.has_flow_engine == flow_engine
    assert engine.runs_crashed_hooks == crashed_hooks
    assert engine.understands("cancel") == cancel
    assert engine.understands("reschedule") == engine.understands("relinquish") == reschedule


@pytest.mark.parametrize(("version", "silent"), [("3.6.26", True), ("3.6.27", False), ("3.8.8", False)])
def test_silence_on_sigterm(version: str, silent: bool) -> None:  # noqa: FBT001
    """A SIGTERM without an intent must not be sent to an engine that would report it as a crash."""
    assert EngineVersion.of(version).is_silent_on_sigterm == silent


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0, "The engine ended with exit code 0: it ended without reporting a final state."),
        (3, "The engine ended with exit code 3: the flow or a library ended the process."),
        (139, "The engine was killed by SIGSEGV: compiled code accessed memory that it must not access"),
        (143, "The engine was killed by SIGTERM: something asked it to stop"),
        (255, "The engine ended with exit code 255"),
    ],
)
def test_exit_codes_are_explained(code: int, text: str) -> None:
    """Exit codes are those of a shell: 128 + n for signal n."""
    assert explain_exit_code(code).startswith(text)


def test_out_of_memory_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the container's counters show an out-of-memory kill, the message says so."""
    events = tmp_path / "memory.events"
    monkeypatch.setattr(exit_codes, "OOM_EVENTS", events)
    assert "out-of-memory killer" not in explain_exit_code(137)
    events.write_text("low 0\noom 1\noom_kill 1\n")
    assert "out-of-memory killer killed processes" in explain_exit_code(137)
    assert "out-of-memory killer" not in explain_exit_code(139)
