"""Long work says that it is still going on, how far it is, and in which state the flow run should be."""

from __future__ import annotations

import re
import threading
import time

import pytest

from prefect_uv.log import lasting_phase, progress
from prefect_uv.log.lasting_phase import pending_state
from prefect_uv.log.mask import Mask
from prefect_uv.log.progress import logging_progress
from prefect_uv.log.run_log import RunLog
from tests.unit.program.test_processes import wait_until


class KeptLog(RunLog):
    """A log that keeps its lines, and says when it has enough of them."""

    def __init__(self) -> None:
        super().__init__(Mask())
        self.lines: list[str] = []
        self.enough = threading.Event()

    def info(self, message: str) -> None:
        """Keep a line."""
        self.lines.append(message)
        if len(self.lines) == 2:
            self.enough.set()


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> KeptLog:
    """A log whose progress is reported often."""
    monkeypatch.setattr(progress, "PROGRESS_SECONDS", 0.01)
    return KeptLog()


def test_long_work_is_reported(kept: KeptLog) -> None:
    """A line is logged again and again, until the work ends."""
    with logging_progress(kept, "cloning x"):
        assert kept.enough.wait(10)
    assert re.fullmatch(r"still cloning x after \d+ s", kept.lines[0])
    assert not [thread for thread in threading.enumerate() if thread.name == "still-going"]


def test_work_within_other_work_is_told_by_its_lines(kept: KeptLog) -> None:
    """There is one line for both, with the details of the inner one, or its name if it has none."""
    with logging_progress(kept, "building x"), logging_progress(kept, "running `uv sync`", lambda: "3 of 4"):
        wait_until(lambda: any(re.fullmatch(r"still building x after \d+ s: 3 of 4", line) for line in kept.lines))
        assert kept.activity() == ("building x", "3 of 4")
        with logging_progress(kept, "comparing"):
            assert kept.activity() == ("building x", "comparing")
    assert kept.activity() == ("", "")


def test_pauses_between_lines_grow(kept: KeptLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pause is twice as long as the one before, up to a minute."""
    pauses: list[float] = []

    class Ended(threading.Event):
        """Notes the pauses instead of waiting."""

        def wait(self, timeout: float | None = None) -> bool:
            """End the reports with the fifth pause."""
            pauses.append(timeout or 0.0)
            return len(pauses) == 5

    monkeypatch.setattr(progress, "PROGRESS_SECONDS", 10.0)
    progress.report_progress(kept, Ended())
    assert pauses == [10.0, 20.0, 40.0, 60.0, 60.0]


@pytest.mark.parametrize(("phase", "state"), [("pull", "Pulling"), ("sync", "Installing"), ("code", "Building")])
def test_phase_that_lasts_has_a_state(phase: str, state: str, log: RunLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state is named for the phase, and its masked message says what is being done; a quick phase has none."""
    log.mask.add("hush-hush")
    with log.phase(phase):
        assert pending_state(log) is None
        monkeypatch.setattr(lasting_phase, "LASTING_SECONDS", 0.0)
        assert (pending_state(log) or ("",))[0] == state
        with logging_progress(log, "cloning hush-hush", lambda: "half of it"):
            assert pending_state(log) == (state, "cloning ****: half of it")
    assert pending_state(log) is None


@pytest.mark.parametrize("phase", ["read", "ask", "look", "launch"])
def test_other_phases_have_no_state(phase: str, log: RunLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """They take no time, or the run is about to become Running."""
    monkeypatch.setattr(lasting_phase, "LASTING_SECONDS", 0.0)
    with log.phase(phase):
        time.sleep(0.001)
        assert pending_state(log) is None
