"""Log lines appear on stderr immediately, and in the flow run's log without delaying the start."""

from __future__ import annotations

import re
import threading

import pytest

from prefect_uv.log import run_log
from prefect_uv.log.mask import Mask
from prefect_uv.log.run_log import DEBUG, ERROR, INFO, WARNING, LogEntry, RunLog


class LogApi:
    """Stands in for the API: collects the batches."""

    def __init__(self) -> None:
        self.batches: list[list[LogEntry]] = []

    def send(self, entries: list[LogEntry]) -> None:
        """Collect a batch."""
        self.batches.append(entries)

    @property
    def entries(self) -> list[LogEntry]:
        """The entries of all batches."""
        return [entry for batch in self.batches for entry in batch]


def test_lines_go_to_stderr(log: RunLog, capsys: pytest.CaptureFixture[str]) -> None:
    """Every line on stderr starts with `prefect-uv:`."""
    log.info("one\ntwo")
    log.warning("careful")
    log.error("error[x]: Bad.")
    assert capsys.readouterr().err.splitlines() == [
        "prefect-uv: one",
        "prefect-uv: two",
        "prefect-uv: warning: careful",
        "prefect-uv: error[x]: Bad.",
    ]


def test_details_are_logged_if_they_are_wanted(log: RunLog, capsys: pytest.CaptureFixture[str]) -> None:
    """They have a level of their own in the flow run's log."""
    api = LogApi()
    log.detail("not wanted")
    log.verbose = True
    log.detail("uv sync")
    log.connect(api.send, "id")
    log.close()
    assert capsys.readouterr().err == "prefect-uv: uv sync\n"
    assert [(entry["level"], entry["message"]) for entry in api.entries] == [(DEBUG, "uv sync")]


def test_secrets_are_masked_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither stderr nor the API gets a secret."""
    mask, api = Mask(), LogApi()
    mask.add("hush-hush")
    log = RunLog(mask)
    log.connect(api.send, "id")
    log.error("it is hush-hush at https://a:b@host")
    log.close()
    assert capsys.readouterr().err == "prefect-uv: it is **** at https://****@host\n"
    assert [entry["message"] for entry in api.entries] == ["it is **** at https://****@host"]


def test_lines_reach_the_api_in_order(log: RunLog) -> None:
    """Lines from before, after and right before the end of the connection arrive in order, with the flow run's id."""
    api = LogApi()
    log.info("before")
    log.connect(api.send, "the-id")
    log.warning("after")
    log.error("last")
    log.close()
    assert [(entry["level"], entry["message"]) for entry in api.entries] == [
        (INFO, "before"),
        (WARNING, "warning: after"),
        (ERROR, "last"),
    ]
    assert {entry["flow_run_id"] for entry in api.entries} == {"the-id"}
    assert {entry["name"] for entry in api.entries} == {"prefect_uv"}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", entry["timestamp"]) for entry in api.entries)


def test_many_lines_are_sent_in_bounded_batches(log: RunLog) -> None:
    """No batch exceeds the limit, and no line is lost."""
    api = LogApi()
    for number in range(run_log.BATCH_SIZE * 2 + 1):
        log.info(str(number))
    log.connect(api.send, "id")
    log.close()
    assert max(map(len, api.batches)) <= run_log.BATCH_SIZE
    assert [entry["message"] for entry in api.entries] == [str(number) for number in range(run_log.BATCH_SIZE * 2 + 1)]


def test_lines_are_dropped_if_the_api_fails(log: RunLog, capsys: pytest.CaptureFixture[str]) -> None:
    """Lines that the API does not accept are dropped with a notice on stderr."""

    def fail(_: list[LogEntry]) -> None:
        message = "no"
        raise RuntimeError(message)

    log.connect(fail, "id")
    log.info("one")
    log.close()
    assert "1 line(s) could not be sent to the flow run's log" in capsys.readouterr().err


def test_hanging_api_delays_the_end_for_a_bounded_time(log: RunLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing lines does not wait for the API, and closing waits for a bounded time only."""
    monkeypatch.setattr(run_log, "FLUSH_SECONDS", 0.2)
    release, taken = threading.Event(), threading.Event()

    def hang(_: list[LogEntry]) -> None:
        release.wait(20)
        taken.set()

    log.connect(hang, "id")
    log.info("one")
    log.close()
    assert not taken.is_set()
    release.set()


def test_close_does_not_wait_for_more_lines(log: RunLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are usually collected for a while before they are sent, but not once the log is being closed."""
    monkeypatch.setattr(run_log, "GATHER_SECONDS", 60.0)
    api = LogApi()
    log.connect(api.send, "id")
    log.info("one")
    log.close()
    assert [entry["message"] for entry in api.entries] == ["one"]


def test_close_without_connection_and_twice(log: RunLog) -> None:
    """The log can be closed before it is connected, and again."""
    log.info("one")
    log.close()
    log.connect(LogApi().send, "id")
    log.close()
    log.close()


def test_phases_are_timed_even_if_they_fail(log: RunLog) -> None:
    """A phase that fails is timed, and its error is raised."""
    with log.phase("read"):
        pass
    with pytest.raises(KeyError), log.phase("ask"):
        raise KeyError
    assert list(log.phases) == ["read", "ask"]
    assert all(0 <= milliseconds < 1000 for milliseconds in log.phases.values())


def test_summary_line(log: RunLog, capsys: pytest.CaptureFixture[str]) -> None:
    """The line has the sum and each phase in milliseconds, and the notes."""
    log.phases = {"read": 2.1, "ask": 18.4, "pull": 95.0, "look": 3.0, "sync": 12.0, "launch": 4.4}
    log.summary({"sync": "hit 1f3a5b7c9d0e"})
    assert capsys.readouterr().err == (
        "prefect-uv: ready in 135 ms: read 2, ask 18, pull 95, look 3, sync 12 (hit 1f3a5b7c9d0e), launch 4\n"
    )
