"""Lines for people: on stderr at once, in the flow run's log without ever being in the way."""

from __future__ import annotations

import re
import threading

import pytest

from prefect_uv.log import run_log
from prefect_uv.log.mask import Mask
from prefect_uv.log.run_log import ERROR, INFO, WARNING, LogEntry, RunLog


class Api:
    """Takes batches."""

    def __init__(self) -> None:
        self.batches: list[list[LogEntry]] = []

    def send(self, entries: list[LogEntry]) -> None:
        """Remember a batch."""
        self.batches.append(entries)

    @property
    def entries(self) -> list[LogEntry]:
        """All lines."""
        return [entry for batch in self.batches for entry in batch]


def test_lines_go_to_stderr(log: RunLog, capsys: pytest.CaptureFixture[str]) -> None:
    """Every line starts with our name."""
    log.info("one\ntwo")
    log.warning("careful")
    log.error("error[x]: Bad.")
    assert capsys.readouterr().err.splitlines() == [
        "prefect-uv: one",
        "prefect-uv: two",
        "prefect-uv: warning: careful",
        "prefect-uv: error[x]: Bad.",
    ]


def test_secrets_are_masked_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither stderr nor the API sees a secret."""
    mask, api = Mask(), Api()
    mask.add("hush-hush")
    log = RunLog(mask)
    log.connect(api.send, "id")
    log.error("it is hush-hush at https://a:b@host")
    log.close()
    assert capsys.readouterr().err == "prefect-uv: it is **** at https://****@host\n"
    assert [entry["message"] for entry in api.entries] == ["it is **** at https://****@host"]


def test_lines_reach_the_api_in_order(log: RunLog) -> None:
    """Lines before the connection, after it and right before the end, each with the flow run's id, in few batches."""
    api = Api()
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
    """No batch is larger than the API takes, and no line is lost."""
    api = Api()
    for number in range(run_log.BATCH * 2 + 1):
        log.info(str(number))
    log.connect(api.send, "id")
    log.close()
    assert max(map(len, api.batches)) <= run_log.BATCH
    assert [entry["message"] for entry in api.entries] == [str(number) for number in range(run_log.BATCH * 2 + 1)]


def test_failing_api_disturbs_nobody(log: RunLog, capsys: pytest.CaptureFixture[str]) -> None:
    """Lines that the API does not take are given up with a notice."""

    def fail(_: list[LogEntry]) -> None:
        message = "no"
        raise RuntimeError(message)

    log.connect(fail, "id")
    log.info("one")
    log.close()
    assert "1 line(s) could not be sent to the flow run's log" in capsys.readouterr().err


def test_hanging_api_delays_nobody(log: RunLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are written without waiting, and the end waits for a bounded time only."""
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


def test_end_does_not_wait_for_more_lines(log: RunLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are gathered for a while before they are sent, but not when none will come."""
    monkeypatch.setattr(run_log, "GATHER_SECONDS", 60.0)
    api = Api()
    log.connect(api.send, "id")
    log.info("one")
    log.close()
    assert [entry["message"] for entry in api.entries] == ["one"]


def test_close_without_connection_and_twice(log: RunLog) -> None:
    """The end can come at any time."""
    log.info("one")
    log.close()
    log.connect(Api().send, "id")
    log.close()
    log.close()


def test_phases_are_timed_also_when_they_fail(log: RunLog) -> None:
    """A phase that fails has its time, and its error goes on."""
    with log.phase("read"):
        pass
    with pytest.raises(KeyError), log.phase("ask"):
        raise KeyError
    assert list(log.phases) == ["read", "ask"]
    assert all(0 <= milliseconds < 1000 for milliseconds in log.phases.values())


def test_summary_has_its_exact_form(log: RunLog, capsys: pytest.CaptureFixture[str]) -> None:
    """All phases in milliseconds, their sum, and a note where there is one."""
    log.phases = {"read": 2.1, "ask": 18.4, "pull": 95.0, "look": 3.0, "sync": 12.0, "launch": 4.4}
    log.summary({"sync": "hit 1f3a5b7c9d0e"})
    assert capsys.readouterr().err == (
        "prefect-uv: ready in 135 ms: read 2, ask 18, pull 95, look 3, sync 12 (hit 1f3a5b7c9d0e), launch 4\n"
    )
